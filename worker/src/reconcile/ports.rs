//! Host ports whose rows are wrong.
//!
//! A port that was refused because another program used it is released when the refusal expires.
//!
//! An instance's port is wrong if the instance is running without an open job, and its container binds another host port
//! than its row has. Links and probes then go to the wrong place. This is only reported: restarting the instance
//! recreates its container. A stopped container binds nothing, so it is judged when it runs.

use std::collections::HashMap;

use clawdeploy_shared::{
    db::{
        Scope, instance, port,
        sweep::SweepReport,
        watched::{self, WatchedInstance},
    },
    instance::InstanceStatus,
};
use futures_util::{StreamExt as _, stream};

use super::{SweepError, SweepResult, busy, listing::Listing};
use crate::{
    env::Env,
    runtime::{OwnedGateway, Reference},
};

/// Containers inspected at once.
const SIDE_BY_SIDE: usize = 4;

pub(super) async fn sweep(env: &Env, listing: &Listing) -> SweepResult {
    let containers = listing.of_this_pass(&env.runtime).await?;
    let mut conn = env.db.conn().await?;
    let freed = port::forget_refusals(&mut conn).await?;
    let instances = watched::list(&mut conn, &[InstanceStatus::Running]).await?;
    drop(conn);
    let mut report = SweepReport::of(freed.len() + instances.len());
    for port in freed {
        report.repaired("refusal_over", &port, format!("The port {port} can be used again."));
    }

    // The container may have been another one when it was listed.
    let looks: Vec<_> = differing(&instances, &containers)
        .into_iter()
        .map(|instance| async move { (instance, mismatch(env, instance).await) })
        .collect();
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

/// Those of these instances whose listed container binds another port than the row has.
fn differing<'a>(rows: &'a [WatchedInstance], containers: &[OwnedGateway]) -> Vec<&'a WatchedInstance> {
    let bound: HashMap<&str, u16> =
        containers.iter().filter_map(|found| Some((found.id.as_str(), found.port?))).collect();
    let differs =
        |row: &&WatchedInstance| bound.get(row.container_id.as_str()).is_some_and(|bound| row.port() != Some(*bound));
    rows.iter().filter(differs).collect()
}

/// The difference between the container's port and the row's, if any.
async fn mismatch(env: &Env, instance: &WatchedInstance) -> Result<Option<String>, SweepError> {
    let Some(bound) = env.runtime.host_port(&Reference::new(&instance.container_id)).await? else { return Ok(None) };
    // The row is read after the container, so that a job that has just written both is not misjudged.
    let row = instance::find(&mut *env.db.conn().await?, Scope::Everything, &instance.id).await?;
    Ok(match row {
        Some((now, held)) if now.container_id.as_ref() == Some(&instance.container_id) && held != Some(bound) => {
            let held = held.map_or_else(|| "none".to_owned(), |port| port.to_string());
            Some(format!("Its container binds port {bound}, but its row has {held}. Restart the instance to fix this."))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use clawdeploy_shared::ids::InstanceId;

    use super::*;
    use crate::runtime::GatewayStatus;

    #[test]
    fn only_a_port_that_is_bound_can_differ() {
        let row = |container: &str, port| {
            WatchedInstance::new(InstanceId::random(), InstanceStatus::Running, None, container, port)
        };
        let listed = |id: &str, port| OwnedGateway {
            id: Reference::new(id),
            name: id.to_owned(),
            instance: InstanceId::random(),
            status: GatewayStatus::Running,
            exit_code: None,
            up: None,
            port,
            image_id: String::new(),
            spec: String::new(),
        };
        let rows =
            [row("same", Some(1)), row("other", Some(2)), row("none", None), row("down", Some(4)), row("x", None)];
        let found = [listed("same", Some(1)), listed("other", Some(9)), listed("none", Some(3)), listed("down", None)];
        let differing: Vec<_> = differing(&rows, &found).iter().map(|row| row.container_id.as_str()).collect();
        assert_eq!(differing, ["other", "none"]);
    }
}
