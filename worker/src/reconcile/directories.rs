//! Directories without a row in the database, and the files of deleted instances.
//!
//! A directory is *unclaimed* if its name is an id that has neither an instance nor an open job. It is never removed or
//! moved. It is listed in `recoverable_instances`, from its manifest or else its `openclaw.json`, for an administrator
//! to restore or purge, and is reported in each pass: the database may have been restored from an older dump. Files in
//! the quarantine without a row are listed the same way, as deleted, and kept for the full time.
//!
//! A row is deleted when its files are gone. Files are removed only if their row says so, because they have expired by
//! the database's clock or an administrator asked for it, and no instance of that id exists. Other names are not ours
//! and are ignored.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use clawdeploy_shared::{
    db::{
        Db,
        audit::{self, NewAuditEntry},
        instance, job,
        recoverable::{self, RecoverableState},
        sweep::SweepReport,
    },
    ids::InstanceId,
    secret::Sealer,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use serde_json::json;
use tokio::time::Instant;

use super::{SweepError, SweepResult, manifests};
use crate::{env::Env, files::Files, storage::Storage};

/// Time for measuring the directories that one look lists. The sizes of the others stay unknown.
const MEASURED_WITHIN: Duration = Duration::from_secs(5);

/// Most instances whose files one pass removes.
const PURGED_AT_ONCE: i64 = 20;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let found = Finder::of(env).find().await?;
    let mut report = SweepReport::of(found.directories.len() + found.kept.len());
    for id in &found.unclaimed {
        let message = "This directory is not in the database. It stays until an administrator restores or purges it.";
        report.reported("directory_without_instance", id, message);
    }
    for id in &found.lost {
        report.repaired("quarantine_without_row", id, "It was in the quarantine but not listed. It is listed now.");
    }
    let directories: HashSet<&InstanceId> = found.directories.iter().collect();
    for id in found.kept.iter().filter(|id| directories.contains(id)) {
        let message = "The quarantine and the data directory both hold files of this id. Both stay.";
        report.reported("kept_twice", id, message);
    }
    drop_rows(env, &found.listed, &directories, &found.kept, &mut report).await?;
    purge(env, &mut report).await?;
    Ok(report)
}

/// Finds and lists files without a row, for the sweep and the command line.
#[derive(Debug, Clone, Copy)]
pub struct Finder<'a> {
    pub db: &'a Db,
    pub storage: &'a Storage,
    pub sealer: &'a Sealer,
    /// How long files in the quarantine without a row are kept.
    pub keep: Duration,
}

impl<'a> Finder<'a> {
    fn of(env: &'a Env) -> Self {
        let Files::Local(storage) = &env.files;
        Self { db: &env.db, storage, sealer: &env.sealer, keep: env.config.instances.deleted_keep }
    }

    /// Lists what is not listed yet. Returns the unclaimed directories and what was found in the quarantine.
    pub async fn find(self) -> Result<Found, SweepError> {
        let directories = self.storage.list().await?;
        let kept = self.storage.quarantined().await?;
        let unknown = self.without_instance(directories.iter().chain(&kept)).await?;
        // Read after the files, so that the row of new files already exists.
        let listed: HashMap<_, _> = recoverable::states(&mut *self.db.conn().await?).await?.into_iter().collect();
        let unclaimed: Vec<InstanceId> = directories.iter().filter(|id| unknown.contains(*id)).cloned().collect();
        let began = Instant::now();
        for id in unclaimed.iter().filter(|id| listed.get(*id) != Some(&RecoverableState::Unclaimed)) {
            let bytes = self.measure(id, MEASURED_WITHIN.saturating_sub(began.elapsed())).await;
            self.list(id, RecoverableState::Unclaimed, bytes).await?;
        }
        let there: HashSet<&InstanceId> = directories.iter().collect();
        let lost = kept.iter().filter(|id| !there.contains(id) && unknown.contains(*id) && !listed.contains_key(*id));
        let lost: Vec<InstanceId> = lost.cloned().collect();
        for id in &lost {
            self.list(id, RecoverableState::Deleted, None).await?;
        }
        Ok(Found { directories, kept, unclaimed, lost, listed })
    }

    /// Bytes on disk of a directory. `None`: unknown, and listed as such.
    async fn measure(self, id: &InstanceId, within: Duration) -> Option<i64> {
        let measured = self.storage.whole_disk_use(id, within).await.unwrap_or_else(|error| {
            tracing::debug!(instance.id = %id, error = chain(&error), "Could not measure an unknown directory");
            None
        });
        i64::try_from(measured?).ok()
    }

    async fn list(self, id: &InstanceId, state: RecoverableState, bytes: Option<i64>) -> Result<(), SweepError> {
        let origin = manifests::origin(self.storage, self.sealer, id, state).await?;
        let mut conn = self.db.conn().await?;
        conn.transaction::<_, SweepError, _>(async |conn| {
            Ok(recoverable::found(conn, state, id, origin.manifest.as_ref(), &origin.reason, self.keep, bytes).await?)
        })
        .await
    }

    /// Those of these ids that have neither a row nor an open job.
    async fn without_instance<'i>(
        self,
        ids: impl Iterator<Item = &'i InstanceId>,
    ) -> Result<HashSet<&'i InstanceId>, SweepError> {
        let ids: HashSet<&InstanceId> = ids.collect();
        let mut ids: Vec<&InstanceId> = ids.into_iter().collect();
        let mut conn = self.db.conn().await?;
        // Usually all have a row, which takes no further statement.
        let rows = instance::containers(&mut conn, &ids).await?;
        ids.retain(|id| !rows.contains_key(*id));
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        // Jobs before rows: a job that ends in between has written its row.
        let open = job::open_on_any(&mut conn, &ids).await?;
        let busy: HashSet<InstanceId> = open.into_iter().filter_map(|job| job.instance_id).collect();
        let rows = instance::containers(&mut conn, &ids).await?;
        Ok(ids.into_iter().filter(|id| !busy.contains(*id) && !rows.contains_key(*id)).collect())
    }
}

/// The files that were found.
#[derive(Debug)]
pub struct Found {
    directories: Vec<InstanceId>,
    /// Instances with files in the quarantine.
    kept: Vec<InstanceId>,
    unclaimed: Vec<InstanceId>,
    /// In the quarantine but not listed until now.
    lost: Vec<InstanceId>,
    /// Already listed.
    listed: HashMap<InstanceId, RecoverableState>,
}

/// Deletes rows whose files are gone. A restore under way deletes its own.
async fn drop_rows(
    env: &Env,
    listed: &HashMap<InstanceId, RecoverableState>,
    directories: &HashSet<&InstanceId>,
    kept: &[InstanceId],
    report: &mut SweepReport,
) -> Result<(), SweepError> {
    let kept: HashSet<&InstanceId> = kept.iter().collect();
    let gone = listed.iter().filter(|(id, state)| match state {
        RecoverableState::Unclaimed => !directories.contains(id),
        RecoverableState::Deleted => !kept.contains(id) && !directories.contains(id),
    });
    let gone: Vec<&InstanceId> = gone.map(|(id, _)| id).collect();
    for id in Finder::of(env).without_instance(gone.into_iter()).await? {
        // Checked again: it may have been moved since the directories were listed.
        if !env.files.exists(id).await? && !env.files.is_quarantined(id).await? {
            recoverable::forget(&mut *env.db.conn().await?, id).await?;
            report.repaired(
                "files_gone",
                id,
                "Its files are gone, so it can no longer be restored and was removed from the list.",
            );
        }
    }
    Ok(())
}

async fn purge(env: &Env, report: &mut SweepReport) -> Result<(), SweepError> {
    let due = recoverable::to_purge(&mut *env.db.conn().await?, PURGED_AT_ONCE).await?;
    for id in due {
        match purge_one(env, &id).await {
            Ok(false) => {}
            Ok(true) => {
                report.repaired("purged", &id, "Its files had expired or were due to be purged. They were removed.");
            }
            Err(error) if error.is_hopeless() => return Err(error),
            Err(error) => {
                report.reported("purge_fails", &id, format!("Its files cannot be removed: {}.", chain(&error)));
            }
        }
    }
    Ok(())
}

/// False: it is no longer to be purged.
async fn purge_one(env: &Env, id: &InstanceId) -> Result<bool, SweepError> {
    let mut conn = env.db.conn().await?;
    let decided =
        conn.transaction::<_, SweepError, _>(async |conn| Ok(recoverable::begin_purge(conn, id).await?)).await?;
    drop(conn);
    // From here on it cannot be restored.
    let Some(row) = decided else { return Ok(false) };
    if row.state == RecoverableState::Unclaimed {
        for container in env.runtime.gateways_of(id).await? {
            env.runtime.remove(&container.id).await?;
        }
        env.runtime.remove_network(id).await?;
        env.files.remove(id).await?;
    }
    env.files.purge(id).await?;
    let mut conn = env.db.conn().await?;
    conn.transaction::<_, SweepError, _>(async |conn| {
        recoverable::forget(conn, id).await?;
        let entry = NewAuditEntry {
            actor_id: None,
            actor: "clawdeploy-worker",
            action: "instance.purged",
            target_kind: "instance",
            target_id: id.as_str(),
            owner_id: row.owner_id,
            detail: json!({ "name": row.name, "was": row.state }),
            request_id: None,
            client_ip: None,
            outcome: audit::Outcome::Success,
        };
        Ok(audit::insert(conn, &entry).await?)
    })
    .await?;
    Ok(true)
}
