//! What removals that were cut short have left in the trash.
//!
//! Something there is left over when no job is open on the instance that it belonged to: it is not being removed now.
//! It is removed. What does not carry an instance's name was put there by somebody, and goes as well.

use clawdeploy_shared::{db::sweep::SweepReport, telemetry::chain};

use super::{SweepResult, busy};
use crate::engine::Env;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    // The names first: a removal that begins after the jobs were looked at is not among them.
    let trash = env.storage.trash().await?;
    let busy = busy(env, trash.iter().filter_map(|(_, owner)| owner.as_ref())).await?;
    let mut report = SweepReport::of(trash.len());
    for (name, owner) in &trash {
        if owner.as_ref().is_some_and(|owner| busy.contains(owner)) {
            report.watching("being_removed", name, "A job is at work on the instance that it belongs to.");
            continue;
        }
        match env.storage.discard(name).await {
            Ok(()) => report.repaired("removal_cut_short", name, "A removal that was cut short was finished."),
            Err(error) => report.reported("trash_stays", name, format!("It cannot be removed: {}.", chain(&error))),
        }
    }
    Ok(report)
}
