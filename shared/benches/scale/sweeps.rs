//! What the reconciler and housekeeping ask at each pass, and removals.

use std::time::Duration;

use clawdeploy_shared::{
    capacity::CapacityArgs,
    db::{
        Conn, boot, disk, frozen, image, instance, job, overdue, recoverable, rollout, route, session, sleep, snapshot,
        stuck, terminal, usage, warm_pool, watched,
    },
    instance::InstanceStatus,
    job::JobKind,
    sleep::SleepArgs,
};

use crate::{data::Subject, table::Table};

const MINUTE: Duration = Duration::from_mins(1);

/// Budget of a query that reads a row for each of ten thousand instances, and of any other.
const ROWS_MS: f64 = 100.0;
const SWEEP_MS: f64 = 20.0;

pub(crate) async fn measure(table: &mut Table, conn: &mut Conn, of: &Subject) -> anyhow::Result<()> {
    let running = async |conn: &mut Conn| watched::list(conn, &[InstanceStatus::Running]).await;
    table.line(conn, "sweep drift: running instances", ROWS_MS, running).await?;
    let between = [InstanceStatus::Pending, InstanceStatus::Starting, InstanceStatus::Stopping];
    table
        .line(conn, "sweep stuck: instances", SWEEP_MS, async |conn| stuck::list(conn, &between, MINUTE).await)
        .await?;
    let lately = async |conn: &mut Conn| stuck::lately(conn, &of.busy_instance, MINUTE).await;
    table.line(conn, "sweep stuck: jobs of one", SWEEP_MS, lately).await?;
    table.line(conn, "sweep doorbells", SWEEP_MS, async |conn| overdue::list(conn, MINUTE, 100).await).await?;
    table.line(conn, "sweep routes: all routes", ROWS_MS, async |conn| route::read(conn, 0).await).await?;
    let gone = async |conn: &mut Conn| recoverable::shown_gone(conn, &[&of.busy_instance]).await;
    table.line(conn, "sweep directories: whether one is gone", SWEEP_MS, gone).await?;
    table
        .line(conn, "sweep directories: restorable instances", SWEEP_MS, async |conn| recoverable::states(conn).await)
        .await?;
    table.line(conn, "sweep snapshots", SWEEP_MS, async |conn| snapshot::needed(conn).await).await?;
    table.line(conn, "sweep disk: which are due", SWEEP_MS, async |conn| disk::due(conn, MINUTE, 50).await).await?;
    let thirty = SleepArgs { sleep_minutes: 30, frozen_minutes: 60 };
    table
        .line(conn, "sleep: which are to be looked at", SWEEP_MS, async |conn| sleep::take_due(conn, thirty, 64).await)
        .await?;
    table
        .line(conn, "sleep: whose schedule is due", SWEEP_MS, async |conn| sleep::to_wake(conn, 60.0, 32).await)
        .await?;
    let room = CapacityArgs { memory_overcommit: 1.0, reserved_memory_mb: None };
    table
        .line(conn, "sleep: which frozen ones to stop", SWEEP_MS, async |conn| frozen::due(conn, 60, &room, 16).await)
        .await?;
    table.line(conn, "warm pool: all of it", SWEEP_MS, async |conn| warm_pool::list(conn).await).await?;
    table
        .line(conn, "warm pool: creations lately", SWEEP_MS, async |conn| warm_pool::created_lately(conn, 10).await)
        .await?;
    let failed = async |conn: &mut Conn| warm_pool::failed_lately(conn, JobKind::WarmUp, 5).await;
    table.line(conn, "warm pool: the last failure", SWEEP_MS, failed).await?;
    table
        .line(conn, "sweep images: in use by instances", SWEEP_MS, async |conn| instance::images_in_use(conn).await)
        .await?;
    table
        .line(conn, "sweep images: in use by snapshots", SWEEP_MS, async |conn| snapshot::images_in_use(conn).await)
        .await?;
    table
        .line(conn, "sweep images: abandoned builds", SWEEP_MS, async |conn| image::fail_abandoned(conn).await)
        .await?;
    table.line(conn, "gateways that boot", SWEEP_MS, async |conn| boot::count(conn).await).await?;
    table
        .line(conn, "usage: which are due", SWEEP_MS, async |conn| usage::due(conn, Duration::from_mins(8), 50).await)
        .await?;
    table.line(conn, "terminals of a worker", SWEEP_MS, async |conn| terminal::held(conn, "bench-1").await).await?;
    let plan = async |conn: &mut Conn| rollout::plan(conn, of.old_job, "sha256:new", &[]).await;
    table.line(conn, "plan of a rollout to all", 500.0, plan).await?;
    table.line(conn, "remove 20 000 points of usage", 1000.0, async |conn| usage::forget_old(conn).await).await?;
    table.line(conn, "remove expired sessions", SWEEP_MS, async |conn| session::forget_expired(conn).await).await?;
    table.line(conn, "remove one job", SWEEP_MS, async |conn| job::delete_dead(conn, of.old_job).await).await
}
