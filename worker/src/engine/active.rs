//! The jobs that run in this process, so that the keeper can reach them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use clawdeploy_shared::{db::lease::Lease, ids::JobId};
use tokio_util::sync::CancellationToken;

/// How the outside reaches a running job.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The lease is gone: stop at once, touch nothing more.
    pub lost: CancellationToken,
    /// Somebody asked for the job to end: stop at the next safe point and undo.
    pub cancel: CancellationToken,
}

/// Registry of running jobs.
#[derive(Debug, Clone, Default)]
pub struct Active(Arc<Mutex<HashMap<JobId, (i64, Signals)>>>);

impl Active {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<JobId, (i64, Signals)>) -> R) -> R {
        // A panic while the lock was held leaves nothing half done in a map.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Registers a claim; the guard takes it out again.
    pub fn enter(&self, lease: &Lease) -> (Signals, ActiveGuard) {
        let signals = Signals::default();
        self.with(|jobs| jobs.insert(lease.job, (lease.attempt, signals.clone())));
        (signals, ActiveGuard { active: self.clone(), job: lease.job, attempt: lease.attempt })
    }

    pub fn len(&self) -> usize {
        self.with(|jobs| jobs.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every running claim.
    pub fn snapshot(&self) -> Vec<(JobId, i64, Signals)> {
        self.with(|jobs| jobs.iter().map(|(id, (attempt, signals))| (*id, *attempt, signals.clone())).collect())
    }

    /// Tells every running job that its lease is gone.
    pub fn lose_all(&self) {
        for (_, _, signals) in self.snapshot() {
            signals.lost.cancel();
        }
    }
}

/// Takes a job out of the registry when its task ends, however it ends.
#[derive(Debug)]
pub struct ActiveGuard {
    active: Active,
    job: JobId,
    attempt: i64,
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.active.with(|jobs| {
            // The same job may have been claimed here again meanwhile.
            if jobs.get(&self.job).is_some_and(|(attempt, _)| *attempt == self.attempt) {
                jobs.remove(&self.job);
            }
        });
    }
}
