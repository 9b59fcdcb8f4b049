//! Host ports whose rows are not right.
//!
//! The refusal of a port that a stranger held is over when its time is; the row goes, and the port may be given out again.
//!
//! An instance's port is wrong when the instance is running or stopped, no job is open on it, and its container binds another
//! port of the host than the one that its row holds, or none. Links and probes then go astray. That is only reported:
//! restarting the instance makes its container anew.

use clawdeploy_shared::{
    db::{Scope, instance, instance::Instance, port, sweep::SweepReport},
    instance::InstanceStatus,
};
use futures_util::{StreamExt as _, stream};

use super::{SweepError, SweepResult, busy};
use crate::{env::Env, runtime::Reference};

/// Containers that are looked at side by side.
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
    // Whatever a job was changing meanwhile is not wrong.
    let busy = busy(env, wrong.iter().map(|(instance, _)| &instance.id)).await?;
    for (instance, message) in wrong.into_iter().filter(|(instance, _)| !busy.contains(&instance.id)) {
        report.reported("port_differs", &instance.id, message);
    }
    Ok(report)
}

/// How the container's port differs from the row's, if it does.
async fn mismatch(env: &Env, instance: &Instance) -> Result<Option<String>, SweepError> {
    let Some(container) = Reference::of(instance) else { return Ok(None) };
    let Some(bound) = env.runtime.host_port(&container).await? else { return Ok(None) };
    // The row is read after the container, so that a job which has just made both is not caught between them.
    let row = instance::find(&mut *env.db.conn().await?, Scope::Everything, &instance.id).await?;
    Ok(match row {
        Some((now, held)) if now.container_id == instance.container_id && held != Some(bound) => {
            let held = held.map_or_else(|| "none".to_owned(), |port| port.to_string());
            Some(format!("Its container binds port {bound}, but its row has {held}. Restart the instance to fix this."))
        }
        _ => None,
    })
}
