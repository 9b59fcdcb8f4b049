//! Directories in the data directory that the database does not know, and what is kept of deleted instances.
//!
//! A directory whose name is an id, that no instance has and on which no job is open, is *unclaimed*. It is never removed and
//! never moved: it is listed in `recoverable_instances`, from its manifest or else from its `openclaw.json`, for an
//! administrator to restore or purge, and reported in each pass. The database may have been restored from an older dump. What
//! lies in the quarantine without a row is listed the same way, as deleted, with the whole time to live.
//!
//! A row goes when what it stands for is gone. Files are removed only where the row says so: because they have expired by the
//! database's clock, or an administrator asked for it, and no instance of that id exists. Other names are not ours and never
//! looked at.

use std::collections::{HashMap, HashSet};

use clawdeploy_shared::{
    db::{
        audit::{self, NewAuditEntry},
        instance,
        recoverable::{self, RecoverableState},
        sweep::SweepReport,
    },
    ids::InstanceId,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use serde_json::json;

use super::{SweepError, SweepResult, busy, manifests};
use crate::engine::Env;

/// Instances whose files one pass removes.
const PURGED_AT_ONCE: i64 = 20;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let there = env.storage.list().await?;
    let kept = env.storage.quarantined().await?;
    let unknown = without_instance(env, there.iter().chain(&kept)).await?;
    // After the files: a row that comes with them is there by now.
    let listed: HashMap<_, _> = recoverable::states(&mut *env.db.conn().await?).await?.into_iter().collect();
    let mut report = SweepReport::of(there.len() + kept.len());

    let directories: HashSet<&InstanceId> = there.iter().collect();
    for id in there.iter().filter(|id| unknown.contains(*id)) {
        if listed.get(id) != Some(&RecoverableState::Unclaimed) {
            list(env, id, RecoverableState::Unclaimed).await?;
        }
        let message = "The database does not know this directory. It stays where it is until an administrator restores or \
            purges it.";
        report.reported("directory_without_instance", id, message);
    }
    for id in kept.iter().filter(|id| !directories.contains(id) && unknown.contains(*id)) {
        if !listed.contains_key(id) {
            list(env, id, RecoverableState::Deleted).await?;
            report.repaired("quarantine_without_row", id, "It lay in the quarantine and was not listed; now it is.");
        }
    }
    for id in kept.iter().filter(|id| directories.contains(id)) {
        let message = "The quarantine has files of an id that has others in the data directory. Both stay.";
        report.reported("kept_twice", id, message);
    }
    drop_rows(env, &listed, &directories, &kept, &mut report).await?;
    purge(env, &mut report).await?;
    Ok(report)
}

async fn list(env: &Env, id: &InstanceId, state: RecoverableState) -> Result<(), SweepError> {
    let story = manifests::story(env, id, state).await?;
    let keep = env.config.instances.deleted_keep;
    let mut conn = env.db.conn().await?;
    conn.transaction::<_, SweepError, _>(async |conn| {
        Ok(recoverable::found(conn, state, id, story.manifest.as_ref(), &story.reason, keep).await?)
    })
    .await
}

/// Those of some ids that neither have a row nor an open job.
async fn without_instance<'a>(
    env: &Env,
    ids: impl Iterator<Item = &'a InstanceId>,
) -> Result<HashSet<&'a InstanceId>, SweepError> {
    let ids: HashSet<&InstanceId> = ids.collect();
    let ids: Vec<&InstanceId> = ids.into_iter().collect();
    // Jobs before rows: the one that ends in between has its row written.
    let busy = busy(env, ids.iter().copied()).await?;
    let rows = instance::containers(&mut *env.db.conn().await?, &ids).await?;
    Ok(ids.into_iter().filter(|id| !busy.contains(*id) && !rows.contains_key(*id)).collect())
}

/// Forgets rows whose files are gone; an instance that is being restored settles its own.
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
    for id in without_instance(env, gone.into_iter()).await? {
        // Asked again: it may have been moved since the directories were listed.
        if !env.storage.exists(id).await? && !env.storage.is_quarantined(id).await? {
            recoverable::forget(&mut *env.db.conn().await?, id).await?;
            report.repaired(
                "files_gone",
                id,
                "Its files are gone, so it cannot be brought back and is not listed any more.",
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
                report.repaired("purged", &id, "Its files had expired, or were to be purged, and were removed.")
            }
            Err(error) if error.is_hopeless() => return Err(error),
            Err(error) => {
                report.reported("purge_fails", &id, format!("Its files cannot be removed: {}.", chain(&error)));
            }
        }
    }
    Ok(())
}

/// False: it is not to be purged any more.
async fn purge_one(env: &Env, id: &InstanceId) -> Result<bool, SweepError> {
    let mut conn = env.db.conn().await?;
    let decided =
        conn.transaction::<_, SweepError, _>(async |conn| Ok(recoverable::begin_purge(conn, id).await?)).await?;
    drop(conn);
    // From here on nobody can restore it.
    let Some(state) = decided else { return Ok(false) };
    if state == RecoverableState::Unclaimed {
        for container in env.docker.find_instance_containers(id).await? {
            env.docker.remove(&container.id).await?;
        }
        env.docker.remove_network(id).await?;
        env.storage.remove(id).await?;
    }
    env.storage.purge(id).await?;
    let mut conn = env.db.conn().await?;
    conn.transaction::<_, SweepError, _>(async |conn| {
        recoverable::forget(conn, id).await?;
        let entry = NewAuditEntry {
            actor_id: None,
            actor: "clawdeploy-worker",
            action: "instance.purged",
            target_kind: "instance",
            target_id: id.as_str(),
            owner_id: None,
            detail: json!({ "was": state }),
            request_id: None,
            client_ip: None,
            outcome: audit::Outcome::Success,
        };
        Ok(audit::insert(conn, &entry).await?)
    })
    .await?;
    Ok(true)
}
