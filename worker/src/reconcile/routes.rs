//! What nginx is told of where instances are.
//!
//! Renders the map from the rows and has nginx take it up, if it has another. So whatever changed a status without a job, or
//! kept a job from telling nginx, is made good here. Rows that cannot be routed are reported. While nginx does not have the
//! map, ports that were given up stay refused: it may still send people there.

use std::time::Duration;

use clawdeploy_shared::{
    db::{route, sweep::SweepReport},
    telemetry::chain,
};

use super::SweepResult;
use crate::env::Env;

/// Less than a sweep is given, so that it is the one to say what is wrong.
const PATIENCE: Duration = Duration::from_secs(18);

pub(super) async fn sweep(env: &Env) -> SweepResult {
    if !env.routes.are_kept() {
        return Ok(SweepReport::of(0));
    }
    let applied = env.routes.settle(PATIENCE).await;
    let mut report = SweepReport::of(applied.routed + applied.set_aside.len());
    for aside in &applied.set_aside {
        report.reported("not_routed", &aside.subject, format!("The instance has no address: {}", aside.reason));
    }
    match &applied.pending {
        Some(error) => {
            let map = env.config.nginx.nginx_map.display();
            report.reported("route_pending", &map, format!("nginx does not have the latest routes: {}.", chain(error)));
            route::prolong_refusals(&mut *env.db.conn().await?).await?;
        }
        None if applied.changed || applied.reloaded => {
            let map = env.config.nginx.nginx_map.display();
            report.repaired("routes", &map, format!("nginx now has the routes of {} instances.", applied.routed));
        }
        None => {}
    }
    Ok(report)
}
