//! The tasks that a worker cannot work without.
//!
//! They run until the worker drains. One that ends earlier, by a panic or a bug, would leave a worker that looks alive
//! and does not do its work: it would take no jobs, or let leases expire. So the worker then drains and its process
//! ends with an error, and whatever supervises the process (systemd, Docker) starts a new one.

use std::{collections::HashMap, fmt, future::pending};

use tokio::task::{Id, JoinError, JoinSet};

/// A task that must not end before the worker drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreTask {
    /// Claims jobs.
    Dispatcher,
    /// Listens to Redis.
    Doorbell,
    /// Renews the leases of running jobs.
    Leases,
    /// Writes the worker's heartbeat.
    Heartbeat,
    /// Takes back the jobs of vanished workers.
    Reaper,
    /// Removes finished rings and dead workers, and updates metrics.
    Housekeeping,
    /// Writes the ends of jobs.
    Completion,
    /// Runs the sweeps.
    Reconciler,
    /// Deletes what is older than it needs to be kept.
    Retention,
    /// Lets idle instances fall asleep.
    Sleep,
    /// Keeps the warm pool filled.
    WarmPool,
    /// Follows the engine's events.
    Events,
    /// Checks that database, data directory and engine belong together.
    Identity,
    /// Follows the rows of terminals.
    Terminals,
    /// Records the usage of instances.
    Usage,
    /// Writes nginx's map.
    Routes,
    /// Serves the API's calls.
    Rpc,
}

impl CoreTask {
    pub const ALL: [Self; 17] = [
        Self::Dispatcher,
        Self::Doorbell,
        Self::Leases,
        Self::Heartbeat,
        Self::Reaper,
        Self::Housekeeping,
        Self::Completion,
        Self::Reconciler,
        Self::Retention,
        Self::Sleep,
        Self::WarmPool,
        Self::Events,
        Self::Identity,
        Self::Terminals,
        Self::Usage,
        Self::Routes,
        Self::Rpc,
    ];

    /// Its name in logs and kill points.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dispatcher => "dispatcher",
            Self::Doorbell => "doorbell",
            Self::Leases => "leases",
            Self::Heartbeat => "heartbeat",
            Self::Reaper => "reaper",
            Self::Housekeeping => "housekeeping",
            Self::Completion => "completion",
            Self::Reconciler => "reconciler",
            Self::Retention => "retention",
            Self::Sleep => "sleep",
            Self::WarmPool => "warm_pool",
            Self::Events => "events",
            Self::Identity => "identity",
            Self::Terminals => "terminals",
            Self::Usage => "usage",
            Self::Routes => "routes",
            Self::Rpc => "rpc",
        }
    }
}

impl fmt::Display for CoreTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A core task ended although the worker was not draining.
#[derive(Debug, thiserror::Error)]
#[error("the worker's task {task:?} ended unexpectedly; the process must be started again", task = .task.as_str())]
pub struct EndedEarly {
    pub task: CoreTask,
    /// If it panicked.
    #[source]
    panic: Option<JoinError>,
}

/// The running core tasks of this process. Dropping it aborts them.
#[derive(Debug, Default)]
pub struct CoreTasks {
    running: JoinSet<()>,
    names: HashMap<Id, CoreTask>,
}

impl CoreTasks {
    /// Starts a core task.
    pub fn spawn(&mut self, task: CoreTask, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.running.spawn(async move {
            tokio::select! {
                () = work => {}
                () = crate::kill_point::core_task_panics(task.as_str()) => {}
            }
        });
        self.names.insert(handle.id(), task);
    }

    /// Waits for the first task that ends. Must not be called once the worker drains, because all of them end then.
    pub async fn first_end(&mut self) -> EndedEarly {
        let (id, panic) = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => (id, None),
            Some(Err(error)) => (error.id(), Some(error)),
            None => pending().await,
        };
        match self.names.get(&id) {
            Some(task) => EndedEarly { task: *task, panic },
            None => pending().await,
        }
    }

    /// Aborts what still runs and waits until it has stopped.
    pub async fn abort_all(&mut self) {
        self.running.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_end_is_reported_with_its_reason() {
        let mut tasks = CoreTasks::default();
        tasks.spawn(CoreTask::Reaper, pending());
        tasks.spawn(CoreTask::Usage, async { panic!("a bug") });
        let ended = tasks.first_end().await;
        assert_eq!(ended.task, CoreTask::Usage);
        assert!(ended.panic.is_some_and(|panic| panic.is_panic()));
        tasks.spawn(CoreTask::Leases, async {});
        let ended = tasks.first_end().await;
        assert_eq!((ended.task, ended.panic.is_none()), (CoreTask::Leases, true));
        assert!(ended.to_string().contains("\"leases\""), "{ended}");
    }
}
