//! Records the usage of running instances once a minute.
//!
//! Every worker records instances on its own engine that have no point for this minute yet, in batches.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clawdeploy_shared::{
    db::{Db, DbError, usage, usage::Measured},
    ids::InstanceId,
    telemetry::chain,
};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    identity::Identity,
    runtime::{Reference, Runtime},
    storage::{Storage, StorageError},
};

/// Delay between two rounds.
const LOOK: Duration = Duration::from_secs(10);
/// Most instances measured in one round, and how many at once.
const BATCH: i64 = 1000;
const AT_ONCE: usize = 4;
/// Time limit of one round.
const LOOK_LIMIT: Duration = Duration::from_secs(50);
/// How long a measurement of files is valid, and how long measuring may take.
const DISK_AGE: Duration = Duration::from_mins(1);
const DISK_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of an instance's files and when they were measured. `None`: it failed.
type Disk = (Instant, Option<u64>);

/// Measures what instances use.
#[derive(Debug, Clone)]
pub struct UsageMeter {
    runtime: Runtime,
    storage: Storage,
    db: Db,
    disks: Arc<Mutex<HashMap<InstanceId, Disk>>>,
}

impl UsageMeter {
    pub fn new(runtime: Runtime, storage: Storage, db: Db) -> Self {
        Self { runtime, storage, db, disks: Arc::default() }
    }

    /// Notes until the worker drains.
    pub async fn run(self, draining: CancellationToken, identity: Identity) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = draining.cancelled() => return,
            }
            if !identity.belongs() {
                continue;
            }
            match timeout(LOOK_LIMIT, self.look()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(error = chain(&error), "Could not record the usage of instances"),
                Err(_) => tracing::warn!("Recording the usage of instances took too long"),
            }
        }
    }

    async fn look(&self) -> Result<(), DbError> {
        let due = usage::due(&mut *self.db.conn().await?, BATCH).await?;
        let noted =
            stream::iter(due).map(|(id, container)| async move { self.note(&id, &Reference::new(container)).await });
        let noted: Vec<Result<(), DbError>> = noted.buffer_unordered(AT_ONCE).collect().await;
        noted.into_iter().collect::<Result<(), DbError>>()?;
        usage::forget_old(&mut *self.db.conn().await?).await?;
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        disks.retain(|_, (at, _)| at.elapsed() < 2 * DISK_AGE);
        Ok(())
    }

    async fn note(&self, id: &InstanceId, container: &Reference) -> Result<(), DbError> {
        let counters = match self.runtime.counters(container).await {
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
            disk_bytes: self.disk(id).await,
            pids: counters.pids,
        };
        usage::note(&mut *self.db.conn().await?, id, measured).await
    }

    /// Bytes on disk of an instance's files; `None`: they could not be measured.
    ///
    /// What came of the last try is good for a minute. What could not be measured is a gap in the graph: neither nothing nor what
    /// there was a while ago.
    pub(crate) async fn disk(&self, id: &InstanceId) -> Option<u64> {
        let known = self.disks.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        if let Some((at, bytes)) = known
            && at.elapsed() < DISK_AGE
        {
            return bytes;
        }
        // A part of it would look as if files had gone.
        let bytes = self.storage.whole_disk_use(id, DISK_LIMIT).await.unwrap_or_else(|error| {
            match error {
                StorageError::Cancelled => {
                    tracing::warn!(instance.id = %id, "Measuring an instance's files took too long");
                }
                error => {
                    tracing::warn!(instance.id = %id, error = chain(&error), "Could not measure an instance's files");
                }
            }
            None
        });
        self.disks.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), (Instant::now(), bytes));
        bytes
    }
}
