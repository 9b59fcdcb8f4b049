//! The jobs that run in this process, for the heartbeat to renew and signal.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clawdeploy_shared::{db::lease::Lease, ids::JobId};
use tokio::time::Instant;

use crate::job::signals::Signals;

/// A claim that this process holds.
#[derive(Debug)]
struct Claim {
    attempt: i64,
    signals: Signals,
    /// When the claim or its last renewal was sent. The lease counts from then, by this process's clock.
    asked_at: Instant,
}

/// Registry of running jobs.
#[derive(Debug, Clone, Default)]
pub struct Active(Arc<Mutex<HashMap<JobId, Claim>>>);

impl Active {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<JobId, Claim>) -> R) -> R {
        // A panic under the lock cannot leave the map half changed.
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Registers a claim that was sent at `asked_at`. Dropping the guard removes it.
    pub fn enter(&self, lease: &Lease, asked_at: Instant) -> (Signals, ActiveGuard) {
        let signals = Signals::default();
        let claim = Claim { attempt: lease.attempt, signals: signals.clone(), asked_at };
        self.with(|jobs| jobs.insert(lease.job, claim));
        (signals, ActiveGuard { active: self.clone(), job: lease.job, attempt: lease.attempt })
    }

    pub fn len(&self) -> usize {
        self.with(|jobs| jobs.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every claim whose lease this worker still holds. Lost ones are left out: they must not be renewed.
    pub fn snapshot(&self) -> Vec<(JobId, i64, Signals)> {
        self.with(|jobs| {
            let held = jobs.iter().filter(|(_, claim)| !claim.signals.lost.is_cancelled());
            held.map(|(id, claim)| (*id, claim.attempt, claim.signals.clone())).collect()
        })
    }

    /// Every registered claim, including those whose lease was lost.
    pub fn claims(&self) -> Vec<(JobId, i64)> {
        self.with(|jobs| jobs.iter().map(|(id, claim)| (*id, claim.attempt)).collect())
    }

    /// Records that a claim was renewed by a request sent at `asked_at`.
    pub fn renewed(&self, job: JobId, attempt: i64, asked_at: Instant) {
        self.with(|jobs| {
            if let Some(claim) = jobs.get_mut(&job).filter(|claim| claim.attempt == attempt) {
                claim.asked_at = asked_at;
            }
        });
    }

    /// Signals the jobs whose lease has expired by this process's clock and returns how many there are.
    pub fn lose_overdue(&self, lease: Duration) -> usize {
        self.with(|jobs| {
            let overdue = jobs.values().filter(|c| c.asked_at.elapsed() > lease && !c.signals.lost.is_cancelled());
            overdue.map(|claim| claim.signals.lost.cancel()).count()
        })
    }
}

/// Removes a job from the registry when its task ends.
#[derive(Debug)]
pub struct ActiveGuard {
    active: Active,
    job: JobId,
    attempt: i64,
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.active.with(|jobs| {
            // This worker may have claimed the same job again in the meantime.
            if jobs.get(&self.job).is_some_and(|claim| claim.attempt == self.attempt) {
                jobs.remove(&self.job);
            }
        });
    }
}
