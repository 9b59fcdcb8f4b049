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
    job::{self, Job, NewJob},
    schema::idle_checks,
};
use crate::{capacity::CapacityArgs, ids::InstanceId, instance::InstanceStatus, job::JobKind};

/// In the payload of a job that lets an instance fall asleep: freeze its gateway, which has this suspension.
pub const SUSPENSION: &str = "suspension";

/// In the payload of a job that stops a gateway because it was frozen for long enough.
pub const WAS_FROZEN: &str = "wasFrozen";

/// The suspension of the gateway that a job is to freeze. `None`: it stops it.
pub fn suspension(job: &Job) -> Option<&str> {
    job.payload[SUSPENSION].as_str()
}

/// Whether a job stops a gateway because it was frozen for long enough. It does not change its instance.
pub fn stops_frozen(job: &Job) -> bool {
    job.payload[WAS_FROZEN] == true
}

/// Records that the gateway of an instance is frozen, and how to release it from its suspension.
pub async fn note(conn: &mut Conn, id: &InstanceId, suspension: &str) -> Result<(), DbError> {
    diesel::sql_query(
        "INSERT INTO idle_checks (instance_id, frozen_since, suspension) VALUES ($1, now(), $2) \
         ON CONFLICT (instance_id) DO UPDATE SET frozen_since = coalesce(idle_checks.frozen_since, now()), suspension = $2",
    )
    .bind::<Text, _>(id.as_str())
    .bind::<Text, _>(suspension)
    .execute(conn)
    .await?;
    Ok(())
}

/// Records that the gateway of an instance is not frozen any more.
pub async fn note_ended(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::sql_query("UPDATE idle_checks SET frozen_since = NULL, suspension = NULL WHERE instance_id = $1 AND frozen_since IS NOT NULL")
        .bind::<Text, _>(id.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// The suspension of a gateway that was frozen, and neither started nor stopped since. `None`: it was not.
pub async fn held(conn: &mut Conn, id: &InstanceId) -> Result<Option<String>, DbError> {
    let frozen = idle_checks::table.find(id).filter(idle_checks::frozen_since.is_not_null());
    let held: Option<Option<String>> = frozen.select(idle_checks::suspension).first(conn).await.optional()?;
    Ok(held.map(Option::unwrap_or_default))
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
           WHERE c.frozen_since IS NOT NULL AND i.status IN ('stopped', 'error') \
             AND NOT EXISTS (SELECT FROM jobs WHERE jobs.instance_id = i.id AND jobs.status IN ('queued', 'running')) \
             AND NOT EXISTS (SELECT FROM (SELECT payload, status, finished_at FROM jobs WHERE jobs.instance_id = i.id \
                 ORDER BY seq DESC LIMIT 1) last \
               WHERE last.status IN ('failed', 'cancelled') AND last.payload ? $4 AND last.finished_at > now() - interval '10 minutes')) f \
         WHERE ripe OR with_newer_mb > $2 ORDER BY frozen_since LIMIT $3",
    )
    .bind::<Int4, _>(minutes)
    .bind::<Int8, _>(free_mb)
    .bind::<Int8, _>(limit)
    .bind::<Text, _>(WAS_FROZEN)
    .load(conn)
    .await?;
    Ok(found.into_iter().map(|found| found.id).collect())
}

/// Has the frozen gateway of an instance stopped. Its status stays, and it sleeps on. `None`: something has happened to it
/// in the meantime.
pub async fn stop(conn: &mut Conn, id: &InstanceId) -> Result<Option<Job>, DbError> {
    conn.transaction::<_, DbError, _>(async |conn| {
        let Some(found) = instance::find_for_update(conn, Scope::Everything, id).await? else { return Ok(None) };
        // One that could not be woken shows an error.
        if !matches!(found.status, InstanceStatus::Stopped | InstanceStatus::Error)
            || held(conn, id).await?.is_none()
            || !job::open_on(conn, id).await?.is_empty()
        {
            return Ok(None);
        }
        let payload = json!({ WAS_FROZEN: true });
        let stop = NewJob { payload, ..NewJob::on_instance(JobKind::Stop, id, found.owner_id) };
        Ok(Some(job::insert(conn, &stop).await?))
    })
    .await
}
