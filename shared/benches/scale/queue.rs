//! The queue: claims, leases, statistics.

use std::time::Duration;

use clawdeploy_shared::{
    db::{Conn, image, job, job::NewJob, lease, overdue, queue_stats},
    fair_slots::FairSlots,
    job::{JobKind, Queue},
};

use crate::{data::Subject, table::Table};

const LEASE: Duration = Duration::from_secs(6);

pub(crate) async fn measure(table: &mut Table, conn: &mut Conn, of: &Subject) -> anyhow::Result<()> {
    let new = NewJob::on_instance(JobKind::Start, &of.busy_instance, of.busy_owner);
    table.line(conn, "accept a job", 10.0, async |conn| job::insert(conn, &new).await).await?;
    let free = FairSlots::new(16);
    let claim = async |conn: &mut Conn| lease::claim(conn, Queue::Lifecycle, "bench", LEASE, &free).await;
    table.line(conn, "claim 16 of 4 000 waiting jobs", 20.0, claim).await?;
    let mut shared = FairSlots::new(16);
    (0..8).for_each(|_| shared.take(Some(of.busy_owner)));
    let claim = async |conn: &mut Conn| lease::claim(conn, Queue::Lifecycle, "bench", LEASE, &shared).await;
    table.line(conn, "claim while an owner has its share", 50.0, claim).await?;
    let renew = async |conn: &mut Conn| lease::renew(conn, "bench-1", &[of.old_job], LEASE).await;
    table.line(conn, "renew the leases of a worker", 10.0, renew).await?;
    table.line(conn, "reap expired leases", 10.0, async |conn| lease::reap(conn).await).await?;
    table
        .line(conn, "how many jobs are ahead", 20.0, async |conn| job::count_ahead(conn, of.last_waiting).await)
        .await?;
    table
        .line(conn, "open jobs of an instance", 10.0, async |conn| job::open_on(conn, &of.busy_instance).await)
        .await?;
    table.line(conn, "whether a build is open", 10.0, async |conn| image::is_building(conn).await).await?;
    table.line(conn, "queue statistics: open jobs", 20.0, async |conn| queue_stats::counts(conn).await).await?;
    table.line(conn, "queue statistics: the last hour", 20.0, async |conn| queue_stats::last_hour(conn).await).await?;
    table.line(conn, "queue statistics: minutes", 20.0, async |conn| queue_stats::minutes(conn).await).await?;
    table.line(conn, "queue statistics: waiting jobs", 20.0, async |conn| overdue::waiting(conn).await).await
}
