//! The signals that reach a running job.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::sync::CancellationToken;

/// Signals to a running job. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The lease is lost: stop at once and touch nothing more.
    pub lost: CancellationToken,
    /// The job was asked to end: stop at the next safe point and undo.
    pub cancel: CancellationToken,
    leaving: Arc<AtomicBool>,
}

impl Signals {
    /// Runs the write after which the job is no longer this worker's: its end, or its return to the queue.
    ///
    /// A renewal that is sent right after that write finds no lease. The job must not take it for a loss, stop before
    /// what follows its end, and report a lost lease. If the lease is lost indeed, the write is fenced and fails.
    pub async fn leave<T, E>(&self, write: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.leaving.store(true, Ordering::SeqCst);
        let left = write.await;
        if left.is_err() {
            self.leaving.store(false, Ordering::SeqCst);
        }
        left
    }

    /// A renewal found no lease of this attempt.
    pub fn not_renewed(&self) {
        if !self.leaving.load(Ordering::SeqCst) {
            self.lost.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_has_just_ended_has_not_lost_its_lease() {
        let signals = Signals::default();
        let seen_by_the_heartbeat = signals.clone();
        let ends = async || {
            seen_by_the_heartbeat.not_renewed();
            Ok::<(), ()>(())
        };
        assert_eq!(signals.leave(ends()).await, Ok(()));
        seen_by_the_heartbeat.not_renewed();
        assert!(!signals.lost.is_cancelled());
    }

    #[tokio::test]
    async fn a_job_that_could_not_end_may_lose_its_lease() {
        let signals = Signals::default();
        assert_eq!(signals.leave(async { Err::<(), ()>(()) }).await, Err(()));
        assert!(!signals.lost.is_cancelled());
        signals.not_renewed();
        assert!(signals.lost.is_cancelled());
    }
}
