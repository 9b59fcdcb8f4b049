//! Limits the time of sweeps.
//!
//! A pass waits for each sweep only for a limited time. The sweep itself continues, because a transaction or a removal
//! must not be cut off in the middle, and this process does not start it again until it ends. One that hangs is aborted
//! in the end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clawdeploy_shared::db::sweep::SweepName;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{SweepError, SweepResult};

/// A sweep that takes this long hangs.
const HANGS_AFTER: Duration = Duration::from_mins(10);

/// Late runs that have not ended. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct LateRuns(Arc<Mutex<HashMap<SweepName, LateRun>>>);

#[derive(Debug)]
struct LateRun {
    began: Instant,
    task: JoinHandle<SweepResult>,
}

impl LateRuns {
    /// Runs a sweep in a task of its own and waits up to `limit` for it.
    pub(super) async fn within(
        &self,
        limit: Duration,
        name: SweepName,
        sweep: impl Future<Output = SweepResult> + Send + 'static,
    ) -> SweepResult {
        if let Some(since) = self.age(name) {
            return Err(SweepError::StillRunning(since));
        }
        let began = Instant::now();
        let mut task = tokio::spawn(sweep);
        if let Ok(ended) = timeout(limit, &mut task).await {
            return ended.unwrap_or_else(|error| Err(SweepError::Panicked(error)));
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, LateRun { began, task });
        Err(SweepError::TooSlow(limit))
    }

    /// For how long an earlier run has been running.
    fn age(&self, name: SweepName) -> Option<Duration> {
        let mut late = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let run = late.get(&name)?;
        let age = run.began.elapsed();
        if age > HANGS_AFTER {
            run.task.abort();
        } else if !run.task.is_finished() {
            return Some(age);
        }
        late.remove(&name);
        None
    }
}

#[cfg(test)]
mod tests {
    use clawdeploy_shared::db::sweep::SweepReport;
    use tokio::sync::oneshot;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn quick() -> std::future::Ready<SweepResult> {
        std::future::ready(Ok(SweepReport::of(1)))
    }

    #[tokio::test]
    async fn a_slow_sweep_goes_on_and_is_not_begun_twice() {
        let late = LateRuns::default();
        let (go_on, wait) = oneshot::channel::<()>();
        let (ended, end) = oneshot::channel::<()>();
        let slow = async move {
            let _ = wait.await;
            let _ = ended.send(());
            quick().await
        };
        assert!(matches!(late.within(SOON, SweepName::Trash, slow).await, Err(SweepError::TooSlow(_))));
        assert!(matches!(late.within(SOON, SweepName::Trash, quick()).await, Err(SweepError::StillRunning(_))));
        assert!(late.within(SOON, SweepName::Drift, quick()).await.is_ok(), "others are not held up");

        go_on.send(()).unwrap();
        end.await.unwrap();
        tokio::time::sleep(SOON).await;
        assert!(late.within(SOON, SweepName::Trash, quick()).await.is_ok());
    }

    #[tokio::test]
    async fn a_sweep_that_panics_is_an_error() {
        let late = LateRuns::default();
        let bug = async { panic!("a bug") };
        assert!(matches!(late.within(SOON, SweepName::Ports, bug).await, Err(SweepError::Panicked(_))));
        assert!(late.within(SOON, SweepName::Ports, quick()).await.is_ok());
    }
}
