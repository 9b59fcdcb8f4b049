//! Directories in the data directory that belong to no instance.
//!
//! A directory is an orphan when its name is an id, no instance has that id, no job is open on it, and no container of
//! this deployment carries it: what is still mounted is not taken away. Other names are not ours and never looked at.
//!
//! An orphan is moved to the trash and emptied from there once it was seen in every pass for a minute. If there are more
//! orphans than instances with a directory, and more than twenty, nothing is removed: it holds people's work.

use std::collections::HashSet;

use clawdeploy_shared::{
    db::{
        instance,
        sighting::{self, SightingKind},
        sweep::SweepReport,
    },
    ids::InstanceId,
    telemetry::chain,
};

use super::{ORPHAN_AGE, SweepError, SweepResult, busy, is_doubtful};
use crate::engine::Env;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let directories = env.storage.list().await?;
    let orphans = without_owner(env, &directories).await?;
    let mut report = SweepReport::of(directories.len());

    let seen: Vec<&str> = orphans.iter().map(|id| id.as_str()).collect();
    let old = sighting::note(&mut *env.db.conn().await?, SightingKind::Directory, &seen, ORPHAN_AGE).await?;
    let doubtful = is_doubtful(orphans.len(), directories.len() - orphans.len());
    for id in orphans {
        if doubtful {
            let message = "It belongs to no instance, but neither do most. Is this worker given the right database?";
            report.reported("too_many_orphans", id, message);
        } else if !old.contains(id.as_str()) {
            report.watching("directory_without_instance", id, "The directory belongs to no instance.");
        // Asked again: what came before it may have taken a while.
        } else if !without_owner(env, std::slice::from_ref(id)).await?.is_empty() {
            match env.storage.remove(id).await {
                Ok(()) => {
                    sighting::forget(&mut *env.db.conn().await?, SightingKind::Directory, id.as_str()).await?;
                    let message = "The directory belonged to no instance and was removed.";
                    report.repaired("directory_without_instance", id, message);
                }
                Err(error) => {
                    let message =
                        format!("The directory belongs to no instance and cannot be removed: {}.", chain(&error));
                    report.reported("orphan_stays", id, message);
                }
            }
        }
    }
    Ok(report)
}

async fn without_owner<'a>(env: &Env, directories: &'a [InstanceId]) -> Result<Vec<&'a InstanceId>, SweepError> {
    let mounted: HashSet<InstanceId> = env.docker.list_owned().await?.into_iter().map(|c| c.instance).collect();
    // Jobs before rows: the one that ends in between has its row written.
    let busy = busy(env, directories).await?;
    let ids: Vec<&InstanceId> = directories.iter().collect();
    let rows = instance::containers(&mut *env.db.conn().await?, &ids).await?;
    Ok(ids.into_iter().filter(|id| !mounted.contains(*id) && !busy.contains(*id) && !rows.contains_key(*id)).collect())
}
