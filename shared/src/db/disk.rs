//! The last measured size of instances' files.

use std::time::Duration;

use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types::{Array, Bool, Float8, Int8, Nullable, Text},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, instance::Instance, schema::instances};
use crate::{ids::InstanceId, instance::InstanceStatus};

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    pub bytes: i64,
    /// Whether all files were seen.
    pub whole: bool,
    /// `None`: there is no limit.
    pub limit: Option<i64>,
    /// Whether the owner was warned that little space is left.
    pub warned: bool,
}

/// An instance to measure.
#[derive(Debug, Clone)]
pub struct Due {
    pub instance: Instance,
    /// For how long it has had its status, by the database's clock.
    pub status_for: Duration,
}

/// Instances not measured within `every`, the longest waiting first, at most `limit`. Leaves out instances without
/// files and those being deleted.
pub async fn due(conn: &mut Conn, every: Duration, limit: i64) -> Result<Vec<Due>, DbError> {
    let without = [InstanceStatus::Pending, InstanceStatus::Provisioning, InstanceStatus::Deleting];
    let waits = sql::<Bool>("(disk_measured_at IS NULL OR disk_measured_at <= now() - make_interval(secs => ")
        .bind::<Float8, _>(every.as_secs_f64())
        .sql("))");
    let age = sql::<Float8>("greatest(extract(epoch FROM now() - status_changed_at), 0)::double precision");
    let due: Vec<(Instance, f64)> = instances::table
        .filter(instances::status.ne_all(without).and(waits))
        .order((instances::disk_measured_at.asc().nulls_first(), instances::id))
        .limit(limit)
        .select((Instance::as_select(), age))
        .load(conn)
        .await?;
    let due = due
        .into_iter()
        .map(|(instance, age)| Due { instance, status_for: Duration::try_from_secs_f64(age).unwrap_or_default() });
    Ok(due.collect())
}

/// Stores a measurement. It does not count as a change of the instance: `updated_at` stays.
pub async fn keep(conn: &mut Conn, id: &InstanceId, measured: Measured) -> Result<(), DbError> {
    diesel::update(instances::table.find(id))
        .set((
            instances::disk_bytes.eq(measured.bytes),
            instances::disk_limit_bytes.eq(measured.limit),
            instances::disk_warned.eq(measured.warned),
            instances::disk_whole.eq(measured.whole),
            instances::disk_measured_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Like [`keep`] for many, in one statement. Rows that somebody else is changing are left out and are due again.
pub async fn keep_all(conn: &mut Conn, all: &[(InstanceId, Measured)]) -> Result<(), DbError> {
    if all.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = all.iter().map(|(id, _)| id.as_str()).collect();
    let bytes: Vec<i64> = all.iter().map(|(_, measured)| measured.bytes).collect();
    let limits: Vec<Option<i64>> = all.iter().map(|(_, measured)| measured.limit).collect();
    let warned: Vec<bool> = all.iter().map(|(_, measured)| measured.warned).collect();
    let whole: Vec<bool> = all.iter().map(|(_, measured)| measured.whole).collect();
    diesel::sql_query(
        "WITH free AS MATERIALIZED ( \
           SELECT id FROM instances WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) \
         UPDATE instances SET disk_bytes = m.bytes, disk_limit_bytes = m.most, disk_warned = m.warned, \
           disk_whole = m.whole, disk_measured_at = now() \
         FROM free JOIN unnest($1, $2, $3, $4, $5) AS m (id, bytes, most, warned, whole) ON m.id = free.id \
         WHERE instances.id = free.id",
    )
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Int8>, _>(bytes)
    .bind::<Array<Nullable<Int8>>, _>(limits)
    .bind::<Array<Bool>, _>(warned)
    .bind::<Array<Bool>, _>(whole)
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves instances to the end of the queue although they could not be measured.
pub async fn pass_over(conn: &mut Conn, ids: &[InstanceId]) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::update(instances::table.filter(instances::id.eq_any(ids)))
        .set((instances::disk_measured_at.eq(now), instances::disk_whole.eq(false)))
        .execute(conn)
        .await?;
    Ok(())
}
