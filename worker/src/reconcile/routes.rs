//! The routes that nginx has.
//!
//! Renders the map from the rows and has nginx reload if it differs. This covers status changes without a job, and jobs
//! that could not reach nginx. Rows that cannot be routed are reported. While nginx does not have the map, released
//! ports stay refused, because it may still route to them.

use std::time::Duration;

use clawdeploy_shared::{
    db::{route, sweep::SweepReport},
    telemetry::chain,
};

use super::SweepResult;
use crate::env::Env;

/// Less than a sweep's limit, so that this sweep reports the reason.
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
