//! Claims due jobs while there is room, and spawns each as a task of its own.

use std::sync::Arc;

use clawdeploy_shared::{
    db::{
        job::Job,
        lease::{self, Lease},
    },
    job::Queue,
    telemetry::chain,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::{Env, active::Active, runner};

/// The part of the engine that serves one queue.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    pub queue: Queue,
    env: Env,
    room: Arc<Semaphore>,
    active: Active,
    tasks: TaskTracker,
}

impl Dispatcher {
    pub fn new(env: Env, queue: Queue, active: Active, tasks: TaskTracker) -> Self {
        let room = Arc::new(Semaphore::new(env.config.engine.concurrency(queue)));
        Self { queue, env, room, active, tasks }
    }

    /// Claims and spawns until nothing is due or there is no more room. Cheap when nothing is.
    pub async fn pump(&self) {
        while !self.env.draining.is_cancelled() {
            let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else { return };
            match self.claim().await {
                Ok(Some(job)) => self.spawn(job, permit),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(queue = %self.queue, error = chain(&error), "Could not look for jobs");
                    return;
                }
            }
        }
    }

    /// Waits until one more job could be taken, or the worker is draining.
    pub async fn wait_for_room(&self) {
        tokio::select! {
            _ = self.room.acquire() => {}
            () = self.env.draining.cancelled() => {}
        }
    }

    async fn claim(&self) -> Result<Option<Job>, clawdeploy_shared::db::DbError> {
        let mut conn = self.env.db.conn().await?;
        lease::claim(&mut conn, self.queue, &self.env.worker, self.env.config.engine.lease).await
    }

    fn spawn(&self, job: Job, permit: OwnedSemaphorePermit) {
        let dispatcher = self.clone();
        self.tasks.spawn(async move {
            let lease = Lease { job: job.id, attempt: job.attempt, worker: dispatcher.env.worker.to_string() };
            let (signals, guard) = dispatcher.active.enter(&lease);
            let env = dispatcher.env.clone();
            // A task of its own, so that a panic in a step becomes a failed attempt and not the end of the worker.
            let run = tokio::spawn(runner::run(env.clone(), job.clone(), lease.clone(), signals));
            if let Err(panic) = run.await {
                runner::after_panic(&env, &job, &lease, &panic).await;
            }
            drop(guard);
            drop(permit);
            // There may be more: a full queue drains without being rung for each job.
            dispatcher.pump().await;
        });
    }
}
