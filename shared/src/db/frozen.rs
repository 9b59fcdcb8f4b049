//! Sleeping instances whose gateways are frozen: they wake in less than a second, and keep their memory meanwhile.
//!
//! The job that lets an instance fall asleep freezes its gateway ([`SUSPENSION`]). Another one stops it later, or as soon as
//! its memory is needed.

use diesel::{
    prelude::*,
    sql_types::{Int4, Int8, Text},
};
use diesel_async::{AsyncConnection as _, RunQueryDsl};
use serde_json::json;

use super::{
    Conn, DbError, Scope, host, instance,
    job::{self, DESIRED_BEFORE, Job, NewJob},
    schema::idle_checks,
};
use crate::{
    capacity::CapacityArgs,
    ids::InstanceId,
    instance::{DesiredState, InstanceStatus},
    job::JobKind,
};

/// In the payload of a job that lets an instance fall asleep: freeze its gateway, after it was released from the suspension
/// with this id.
pub const SUSPENSION: &str = "suspension";

/// In the payload of a job that stops a gateway because it was frozen for long enough.
pub const THAWED: &str = "wasFrozen";

/// The suspension of the gateway that a job is to freeze. `None`: it stops it.
pub fn suspension(job: &Job) -> Option<&str> {
    job.payload[SUSPENSION].as_str()
}

/// Whether a job stops a gateway because it was frozen for long enough.
pub fn stops_frozen(job: &Job) -> bool {
    job.payload[THAWED] == true
}

/// Records that the gateway of an instance is frozen, or no longer.
pub async fn note(conn: &mut Conn, id: &InstanceId, frozen: bool) -> Result<(), DbError> {
    let sql = if frozen {
        "INSERT INTO idle_checks (instance_id, frozen_since) VALUES ($1, now()) \
         ON CONFLICT (instance_id) DO UPDATE SET frozen_since = now()"
    } else {
        "UPDATE idle_checks SET frozen_since = NULL WHERE instance_id = $1 AND frozen_since IS NOT NULL"
    };
    diesel::sql_query(sql).bind::<Text, _>(id.as_str()).execute(conn).await?;
    Ok(())
}

/// Whether the gateway of an instance was frozen, and neither started nor stopped since.
pub async fn is_frozen(conn: &mut Conn, id: &InstanceId) -> Result<bool, DbError> {
    let frozen = idle_checks::table.find(id).filter(idle_checks::frozen_since.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(frozen)).get_result(conn).await?)
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    id: InstanceId,
}

/// Instances whose frozen gateways are to be stopped: those that do not sleep any more, those that have been frozen for
/// these minutes, and the ones frozen longest as far as the host has no memory left for all of them. One that could not be
/// stopped is tried again after ten minutes.
pub async fn due(conn: &mut Conn, minutes: i32, args: &CapacityArgs, limit: i64) -> Result<Vec<InstanceId>, DbError> {
    let free_mb = args.of(host::memory(conn, None).await?).map_or(i64::MAX, |capacity| capacity.free_mb());
    let found: Vec<Due> = diesel::sql_query(
        "SELECT id FROM (SELECT i.id, c.frozen_since, \
             i.asleep_since IS NULL OR c.frozen_since < now() - make_interval(mins => $1) AS ripe, \
             sum(i.memory_mb) OVER (ORDER BY c.frozen_since DESC, i.id) AS with_newer_mb \
           FROM idle_checks c JOIN instances i ON i.id = c.instance_id \
           WHERE c.frozen_since IS NOT NULL AND i.status = 'stopped' \
             AND NOT EXISTS (SELECT FROM jobs WHERE jobs.instance_id = i.id AND jobs.status IN ('queued', 'running')) \
             AND NOT EXISTS (SELECT FROM (SELECT payload, status, finished_at FROM jobs WHERE jobs.instance_id = i.id \
                 ORDER BY seq DESC LIMIT 1) last \
               WHERE last.status = 'failed' AND last.payload ? $4 AND last.finished_at > now() - interval '10 minutes')) f \
         WHERE ripe OR with_newer_mb > $2 ORDER BY frozen_since LIMIT $3",
    )
    .bind::<Int4, _>(minutes)
    .bind::<Int8, _>(free_mb)
    .bind::<Int8, _>(limit)
    .bind::<Text, _>(THAWED)
    .load(conn)
    .await?;
    Ok(found.into_iter().map(|found| found.id).collect())
}

/// Has the frozen gateway of an instance stopped. It sleeps on. `None`: something has happened to it in the meantime.
pub async fn stop(conn: &mut Conn, id: &InstanceId) -> Result<Option<Job>, DbError> {
    conn.transaction::<_, DbError, _>(async |conn| {
        let Some(found) = instance::find_for_update(conn, Scope::Everything, id).await? else { return Ok(None) };
        if found.status != InstanceStatus::Stopped
            || !is_frozen(conn, id).await?
            || !job::open_on(conn, id).await?.is_empty()
        {
            return Ok(None);
        }
        let payload = json!({ THAWED: true, DESIRED_BEFORE: DesiredState::Stopped });
        let stop = NewJob { payload, ..NewJob::on_instance(JobKind::Stop, id, found.owner_id) };
        Ok(Some(job::insert(conn, &stop).await?))
    })
    .await
}
