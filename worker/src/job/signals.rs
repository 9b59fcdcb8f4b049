//! How the outside reaches a job that runs.

use tokio_util::sync::CancellationToken;

/// What a running job listens to. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The lease is gone: stop at once, touch nothing more.
    pub lost: CancellationToken,
    /// Somebody asked for the job to end: stop at the next safe point and undo.
    pub cancel: CancellationToken,
}
