//! The last measured size of instances' files.

use std::time::Duration;

use diesel::{
    dsl::now,
    prelude::*,
    sql_types::{Array, Float8, Int8, Text},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, instance::Instance, schema::instances};
use crate::{ids::InstanceId, instance::InstanceStatus};

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    pub bytes: i64,
    /// `None`: there is no limit.
    pub limit: Option<i64>,
    /// Whether the owner was warned that little space is left.
    pub warned: bool,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: InstanceId,
}

/// Instances not measured within `every`, the longest waiting first, at most `limit`. Leaves out instances without
/// files and those being deleted.
pub async fn due(conn: &mut Conn, every: Duration, limit: i64) -> Result<Vec<Instance>, DbError> {
    let without = [InstanceStatus::Pending, InstanceStatus::Provisioning, InstanceStatus::Deleting];
    let ids: Vec<Id> = diesel::sql_query(
        "SELECT id FROM instances WHERE status <> ALL($1) AND (disk_measured_at IS NULL \
           OR disk_measured_at <= now() - make_interval(secs => $2)) \
         ORDER BY disk_measured_at NULLS FIRST, id LIMIT $3",
    )
    .bind::<Array<Text>, _>(&without[..])
    .bind::<Float8, _>(every.as_secs_f64())
    .bind::<Int8, _>(limit)
    .load(conn)
    .await?;
    let ids: Vec<InstanceId> = ids.into_iter().map(|row| row.id).collect();
    Ok(instances::table
        .filter(instances::id.eq_any(ids))
        .order((instances::disk_measured_at.asc().nulls_first(), instances::id))
        .select(Instance::as_select())
        .load(conn)
        .await?)
}

/// Stores a measurement. It does not count as a change of the instance: `updated_at` stays.
pub async fn keep(conn: &mut Conn, id: &InstanceId, measured: Measured) -> Result<(), DbError> {
    diesel::update(instances::table.find(id))
        .set((
            instances::disk_bytes.eq(measured.bytes),
            instances::disk_limit_bytes.eq(measured.limit),
            instances::disk_warned.eq(measured.warned),
            instances::disk_measured_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves an instance to the end of the queue although it could not be measured.
pub async fn pass_over(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::update(instances::table.find(id)).set(instances::disk_measured_at.eq(now)).execute(conn).await?;
    Ok(())
}
