//! The signals that reach a running job.

use tokio_util::sync::CancellationToken;

/// Signals to a running job. Clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The lease is lost: stop at once and touch nothing more.
    pub lost: CancellationToken,
    /// The job was asked to end: stop at the next safe point and undo.
    pub cancel: CancellationToken,
}
