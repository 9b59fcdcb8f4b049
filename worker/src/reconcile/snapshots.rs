//! What was kept of instances for a way back that is not open any more.
//!
//! Needed are the snapshots of changes under way, and of each instance the newest that has not expired. Others, those that
//! were never completed included, are removed as long as no job is open on their instance. What does not carry the name
//! of a snapshot was put there by somebody; it is only reported.

use std::collections::HashSet;

use clawdeploy_shared::{
    db::{snapshot, sweep::SweepReport},
    ids::SnapshotId,
    telemetry::chain,
};

use super::{SweepResult, busy};
use crate::engine::Env;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    // What lies there first: what is taken after has its row already.
    let found = env.storage.snapshots().await?;
    let busy = busy(env, found.iter().map(|(instance, _)| instance)).await?;
    let needed = snapshot::needed(&mut *env.db.conn().await?).await?;
    let needed: HashSet<SnapshotId> = needed.into_iter().map(|(id, _)| id).collect();
    let mut report = SweepReport::of(found.len());
    for (instance, name) in found {
        let Ok(id) = name.split('.').next().unwrap_or_default().parse::<SnapshotId>() else {
            report.reported("not_a_snapshot", &name, "It lies among the snapshots and is none.");
            continue;
        };
        if busy.contains(&instance) || needed.contains(&id) {
            continue;
        }
        match env.storage.remove_snapshot(&instance, id).await {
            Ok(()) => report.repaired("snapshot_expired", &name, "It was not needed any more and was removed."),
            Err(error) => {
                report.reported("snapshot_stays", &name, format!("It cannot be removed: {}.", chain(&error)));
            }
        }
    }
    Ok(report)
}
