//! What interrupted removals left in the trash.
//!
//! An item is left over if its instance has no open job, so it is not being removed now. It is removed if the database
//! has the instance, or shows that it is gone or to be purged. Items of instances that the database does not know, or
//! not named like an instance, are reported and stay.

use std::collections::HashSet;

use clawdeploy_shared::{
    db::{instance, recoverable, sweep::SweepReport},
    ids::InstanceId,
    telemetry::chain,
};

use super::{SweepResult, busy};
use crate::{env::Env, files::Files};

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let Files::Local(storage) = &env.files;
    // The names first: a removal that begins after the jobs were read is not among them.
    let trash = storage.trash().await?;
    let owners: HashSet<&InstanceId> = trash.iter().filter_map(|(_, owner)| owner.as_ref()).collect();
    let owners: Vec<&InstanceId> = owners.into_iter().collect();
    let busy = busy(env, owners.iter().copied()).await?;
    let mut conn = env.db.conn().await?;
    let mut known = recoverable::shown_gone(&mut conn, &owners).await?;
    known.extend(instance::containers(&mut conn, &owners).await?.into_keys());
    known.extend(recoverable::purged(&mut conn, &owners).await?);
    drop(conn);
    let mut report = SweepReport::of(trash.len());
    for (name, owner) in &trash {
        if owner.as_ref().is_some_and(|owner| busy.contains(owner)) {
            report.watching("being_removed", name, "A job is running on its instance.");
            continue;
        }
        if !owner.as_ref().is_some_and(|owner| known.contains(owner)) {
            report.reported("trash_unknown", name, "The database does not show why it is in the trash. It stays.");
            continue;
        }
        match storage.discard(name).await {
            Ok(()) => report.repaired("removal_cut_short", name, "An interrupted removal was finished."),
            Err(error) => report.reported("trash_stays", name, format!("It cannot be removed: {}.", chain(&error))),
        }
    }
    Ok(report)
}
