//! Records the usage of running instances once a minute.
//!
//! Every worker records instances on its own engine that have no point for this minute yet, in batches. The size of
//! their files is what the sweep `disk` found last.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        Db, DbError,
        usage::{self, Due, Measured},
    },
    ids::InstanceId,
    telemetry::chain,
};
use futures_util::{StreamExt as _, stream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    disk_meter::{DiskMeter, Pace},
    identity::Identity,
    rounds::Rounds,
    runtime::{Reference, Runtime},
    storage::Seen,
};

/// Delay between two rounds.
const LOOK: Duration = Duration::from_secs(10);
/// Most instances measured in one round, and how many at once.
const BATCH: i64 = 1000;
const AT_ONCE: usize = 4;
/// Time limit of one round.
const LOOK_LIMIT: Duration = Duration::from_secs(50);
/// How old a size may be in a live view.
const LIVE_AGE: Duration = Duration::from_mins(1);
/// How old a size may be in a point. Files that do not change are measured about every eight minutes.
const POINT_AGE: Duration = Duration::from_mins(10);

/// Measures what instances use.
#[derive(Debug, Clone)]
pub struct UsageMeter {
    runtime: Runtime,
    disk: DiskMeter,
    db: Db,
    /// How old a size may be in a point.
    point_age: Duration,
}

impl UsageMeter {
    /// `disk_interval`: the time between two measurements of files.
    pub fn new(runtime: Runtime, disk: DiskMeter, db: Db, disk_interval: Duration) -> Self {
        Self { runtime, disk, db, point_age: POINT_AGE.max(2 * disk_interval) }
    }

    /// Notes until the worker drains.
    pub async fn run(self, draining: CancellationToken, identity: Identity) {
        let mut rounds = Rounds::new(LOOK, draining, identity);
        while rounds.next().await {
            match timeout(LOOK_LIMIT, self.look()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = chain(&error), "Could not record the usage of instances"),
                Err(_) => tracing::warn!("Recording the usage of instances took too long"),
            }
        }
    }

    async fn look(&self) -> Result<(), DbError> {
        let due = usage::due(&mut *self.db.conn().await?, self.point_age, BATCH).await?;
        let noted = stream::iter(due).map(|due| self.note(due));
        let noted: Vec<Result<(), DbError>> = noted.buffer_unordered(AT_ONCE).collect().await;
        noted.into_iter().collect::<Result<(), DbError>>()?;
        usage::forget_old(&mut *self.db.conn().await?).await?;
        self.disk.prune();
        Ok(())
    }

    async fn note(&self, due: Due) -> Result<(), DbError> {
        let id = &due.id;
        let counters = match self.runtime.counters(&Reference::new(due.container_id)).await {
            Ok(Some(counters)) => counters,
            // Of another engine, or just stopped.
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::debug!(instance = %id, error = chain(&error), "Could not measure an instance");
                return Ok(());
            }
        };
        let measured = Measured {
            cpu_ns: counters.cpu_ns,
            memory_bytes: counters.memory_bytes,
            memory_limit_bytes: counters.memory_limit_bytes,
            network_rx_bytes: counters.network_rx_bytes,
            network_tx_bytes: counters.network_tx_bytes,
            disk_bytes: due.disk_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            pids: counters.pids,
        };
        usage::note(&mut *self.db.conn().await?, id, measured).await
    }

    /// Bytes on disk of an instance's files, for somebody who watches; `None`: they could not be measured. A part of
    /// them would look as if files had gone.
    pub(crate) async fn disk(&self, id: &InstanceId) -> Option<u64> {
        match self.disk.measure(id, LIVE_AGE, Pace::Live).await {
            Ok(found) => found.filter(|found| found.seen == Seen::All).map(|found| found.bytes),
            Err(error) => {
                tracing::warn!(instance.id = %id, error = chain(&error), "Could not measure an instance's files");
                None
            }
        }
    }
}
