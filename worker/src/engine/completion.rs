//! Ends jobs that change no instance in batches.
//!
//! The end of a job on an instance changes the instance in the same transaction. Other jobs only need their own row
//! written, so while one statement runs the next ones gather. The batch grows with the load and needs no timer.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        Db, DbError,
        lease::{self, Lease, LeaseError},
    },
    ids::JobId,
    telemetry::chain,
};
use tokio::sync::{mpsc, oneshot};

use super::within;
use crate::core_tasks::{CoreTask, CoreTasks};

/// Most jobs that one statement ends.
const BATCH: usize = 256;

/// Limit for one statement, including waiting for a connection.
const LIMIT: Duration = Duration::from_secs(15);

type Entry = (Lease, oneshot::Sender<bool>);

/// Handle on the batch. There is one batch for each process.
#[derive(Debug, Clone)]
pub struct CompletionBatch(mpsc::Sender<Entry>);

impl CompletionBatch {
    /// Starts the writing task, which ends when the last handle is dropped.
    pub fn start(db: Db, worker: String, core: &mut CoreTasks) -> Self {
        let (sender, receiver) = mpsc::channel(BATCH);
        core.spawn(CoreTask::Completion, write(db, worker, receiver));
        Self(sender)
    }

    /// Marks a job as succeeded.
    pub async fn succeed(&self, lease: Lease) -> Result<(), LeaseError> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send((lease, answer)).await;
        match answered.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LeaseError::Lost),
            // The statement failed, which was logged. The lease expires and another attempt ends the job.
            Err(_) => Err(LeaseError::Db(DbError::Timeout)),
        }
    }
}

async fn write(db: Db, worker: String, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let leases: Vec<(JobId, i64)> = batch.iter().map(|(lease, _)| (lease.job, lease.attempt)).collect();
        let ended = async { lease::succeed_many(&mut *db.conn().await?, &worker, &leases).await };
        let ended = match within(LIMIT, ended).await {
            Ok(ended) => ended,
            Err(error) => {
                tracing::warn!(error = chain(&error), jobs = batch.len(), "Could not write the end of jobs");
                batch.clear();
                continue;
            }
        };
        for (lease, answer) in batch.drain(..) {
            // The caller may be gone. The row is written all the same.
            let _ = answer.send(ended.contains(&lease.job));
        }
    }
}
