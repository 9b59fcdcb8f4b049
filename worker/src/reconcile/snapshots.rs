//! Snapshots that are no longer needed.
//!
//! Needed are the snapshots of changes under way or stuck, and the newest unexpired one of each instance. Others are
//! removed if the database shows why: it has the snapshot's row and does not need it, or it shows that the whole
//! instance is gone. A missing row of a snapshot or its instance shows nothing: the database may have been restored
//! from an older dump. Such a snapshot is reported and stays, as does anything that is not named like a snapshot.

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
    // The directory first: a snapshot taken later already has its row.
    let found = storage.snapshots().await?;
    let owners: HashSet<&InstanceId> = found.iter().map(|(instance, _)| instance).collect();
    let owners: Vec<&InstanceId> = owners.into_iter().collect();
    let parsed = |name: &str| name.split('.').next().unwrap_or_default().parse::<SnapshotId>().ok();
    let ids: Vec<SnapshotId> = found.iter().filter_map(|(_, name)| parsed(name)).collect();
    // Then the needed ones: a rollback requested after this shows as an open job below.
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
        // Left over from an instance that is gone, unless its files exist after all.
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
