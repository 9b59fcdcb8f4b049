//! Ends jobs that concern no instance, many in one statement.
//!
//! A job on an instance ends in one transaction with what its end means there. Others need only their own row written, and
//! while one statement is under way the next ones gather: the busier the worker, the larger the batch, with no timer.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        Db, DbError,
        lease::{self, Lease, LeaseError},
    },
    ids::JobId,
    telemetry::chain,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Jobs that one statement ends at most.
const BATCH: usize = 256;

/// For one statement, and a connection for it.
const LIMIT: Duration = Duration::from_secs(15);

type Entry = (Lease, oneshot::Sender<bool>);

/// Handle on the batch; one for the process.
#[derive(Debug, Clone)]
pub struct CompletionBatch(mpsc::Sender<Entry>);

impl CompletionBatch {
    /// Starts the task that writes; it ends with the last handle.
    pub fn start(db: Db, worker: String) -> Self {
        let (sender, receiver) = mpsc::channel(BATCH);
        tokio::spawn(write(db, worker, receiver));
        Self(sender)
    }

    /// Ends a job as succeeded.
    pub async fn succeed(&self, lease: Lease) -> Result<(), LeaseError> {
        let (answer, answered) = oneshot::channel();
        // Where nobody answers, nothing was written: the lease runs out, and another attempt ends the job.
        let _ = self.0.send((lease, answer)).await;
        if answered.await.unwrap_or(false) { Ok(()) } else { Err(LeaseError::Lost) }
    }
}

async fn write(db: Db, worker: String, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let leases: Vec<(JobId, i64)> = batch.iter().map(|(lease, _)| (lease.job, lease.attempt)).collect();
        let ended = async { lease::succeed_many(&mut *db.conn().await?, &worker, &leases).await };
        let ended: Result<Vec<JobId>, DbError> = timeout(LIMIT, ended).await.unwrap_or(Err(DbError::Timeout));
        let ended = ended.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), jobs = batch.len(), "Could not write the end of jobs");
            Vec::new()
        });
        for (lease, answer) in batch.drain(..) {
            // Who asked may be gone by now; the row is written all the same.
            let _ = answer.send(ended.contains(&lease.job));
        }
    }
}
