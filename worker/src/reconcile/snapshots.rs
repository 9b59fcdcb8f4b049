//! What was kept of instances for a way back that is not open any more.
//!
//! Needed are the snapshots of changes under way or whose undo was given up, and of each instance the newest that has not expired. Others are removed where
//! the database shows why: it has the snapshot's row, and that is not needed; or it shows that the whole instance went. That it
//! does not know a snapshot, or its instance, shows nothing: it may have been restored from an older dump. Such a one is reported
//! and stays, as does what does not carry the name of a snapshot.

use std::collections::HashSet;

use clawdeploy_shared::{
    db::{instance, recoverable, snapshot, sweep::SweepReport},
    ids::{InstanceId, SnapshotId},
    telemetry::chain,
};

use super::{SweepResult, busy};
use crate::{env::Env, files::Files};

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let Files::Local(storage) = &env.files;
    // What lies there first: what is taken after has its row already.
    let found = storage.snapshots().await?;
    let owners: HashSet<&InstanceId> = found.iter().map(|(instance, _)| instance).collect();
    let owners: Vec<&InstanceId> = owners.into_iter().collect();
    let parsed = |name: &str| name.split('.').next().unwrap_or_default().parse::<SnapshotId>().ok();
    let ids: Vec<SnapshotId> = found.iter().filter_map(|(_, name)| parsed(name)).collect();
    // Then what is needed: a rollback that is asked for after this shows as an open job below.
    let needed = snapshot::needed(&mut *env.db.conn().await?).await?;
    let needed: HashSet<SnapshotId> = needed.into_iter().map(|(id, _)| id).collect();
    let busy = busy(env, owners.iter().copied()).await?;
    let mut conn = env.db.conn().await?;
    let known = snapshot::known(&mut conn, &ids).await?;
    let rows = instance::containers(&mut conn, &owners).await?;
    let gone = recoverable::shown_gone(&mut conn, &owners).await?;
    drop(conn);
    let mut report = SweepReport::of(found.len());
    for (instance, name) in found {
        let Some(id) = parsed(&name) else {
            report.reported("not_a_snapshot", &name, "It is in the snapshot directory but is not a snapshot.");
            continue;
        };
        if busy.contains(&instance) || needed.contains(&id) {
            continue;
        }
        // What is left of an instance that went, unless its files are there after all.
        let gone = !rows.contains_key(&instance) && gone.contains(&instance) && !storage.exists(&instance).await?;
        if !gone && !known.contains(&id) {
            let message = format!("This snapshot of {instance} is not in the database. It stays.");
            report.reported("snapshot_unknown", &name, message);
            continue;
        }
        match storage.remove_snapshot(&instance, id).await {
            Ok(()) => report.repaired("snapshot_expired", &name, "It was no longer needed and was removed."),
            Err(error) => {
                report.reported("snapshot_stays", &name, format!("It cannot be removed: {}.", chain(&error)));
            }
        }
    }
    Ok(report)
}
