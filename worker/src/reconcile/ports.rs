//! Host ports whose rows are wrong.
//!
//! A port that was refused because another program used it is released when the refusal expires.
//!
//! An instance's port is wrong if the instance is running or stopped, has no open job, and its container binds another
//! host port than its row has, or none. Links and probes then go to the wrong place. This is only reported: restarting
//! the instance recreates its container.

use clawdeploy_shared::{
    db::{Scope, instance, instance::Instance, port, sweep::SweepReport},
    instance::InstanceStatus,
};
use futures_util::{StreamExt as _, stream};

use super::{SweepError, SweepResult, busy};
use crate::{env::Env, runtime::Reference};

/// Containers inspected at once.
const SIDE_BY_SIDE: usize = 4;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let mut conn = env.db.conn().await?;
    let freed = port::forget_refusals(&mut conn).await?;
    let mut instances =
        instance::list_by_status(&mut conn, &[InstanceStatus::Running, InstanceStatus::Stopped]).await?;
    drop(conn);
    instances.retain(|instance| instance.container_id.is_some());
    let mut report = SweepReport::of(freed.len() + instances.len());
    for port in freed {
        report.repaired("refusal_over", &port, format!("The port {port} can be used again."));
    }

    let looks: Vec<_> = instances.iter().map(|i| async move { (i, mismatch(env, i).await) }).collect();
    let looked: Vec<_> = stream::iter(looks).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let mut wrong = Vec::new();
    for (instance, mismatch) in looked {
        wrong.extend(mismatch?.map(|message| (instance, message)));
    }
    // A mismatch during a job is not wrong.
    let busy = busy(env, wrong.iter().map(|(instance, _)| &instance.id)).await?;
    for (instance, message) in wrong.into_iter().filter(|(instance, _)| !busy.contains(&instance.id)) {
        report.reported("port_differs", &instance.id, message);
    }
    Ok(report)
}

/// The difference between the container's port and the row's, if any.
async fn mismatch(env: &Env, instance: &Instance) -> Result<Option<String>, SweepError> {
    let Some(container) = Reference::of(instance) else { return Ok(None) };
    let Some(bound) = env.runtime.host_port(&container).await? else { return Ok(None) };
    // The row is read after the container, so that a job that has just written both is not misjudged.
    let row = instance::find(&mut *env.db.conn().await?, Scope::Everything, &instance.id).await?;
    Ok(match row {
        Some((now, held)) if now.container_id == instance.container_id && held != Some(bound) => {
            let held = held.map_or_else(|| "none".to_owned(), |port| port.to_string());
            Some(format!("Its container binds port {bound}, but its row has {held}. Restart the instance to fix this."))
        }
        _ => None,
    })
}
