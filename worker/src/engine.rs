//! The job engine: runs the jobs that are queued in Postgres, each on one worker at a time.
//!
//! - [`doorbell`] listens to Redis and tells the dispatcher to look for work.
//! - [`dispatch`] claims due jobs while there is room and spawns each as a task of its own, so that neither a Redis
//!   failure nor a cancelled ring handler can cancel work.
//! - [`room`] counts the slots and shares them between owners.
//! - [`heartbeat`] renews the leases of running jobs and writes the worker's heartbeat.
//! - [`reaper`] takes back the leases of vanished workers and polls for work whose ring was lost.
//! - [`housekeeping`] removes finished rings and dead workers, and updates metrics.
//! - [`completion`] ends jobs that change no instance in batches.
//! - [`runner`] runs one claimed job: `forward` through its steps, or back through their undos (`undo`).

use std::time::Duration;

use clawdeploy_shared::db::DbError;
use tokio::time::timeout;

pub mod active;
pub mod completion;
pub mod dispatch;
pub mod doorbell;
mod end;
mod entries;
mod forward;
mod gauges;
pub mod heartbeat;
pub mod housekeeping;
pub mod prune;
pub mod reaper;
pub mod room;
pub mod runner;
mod undo;

/// Limits a query. Without it, a dead connection would block for as long as the kernel keeps it.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    timeout(limit, work).await.unwrap_or(Err(DbError::Timeout))
}
