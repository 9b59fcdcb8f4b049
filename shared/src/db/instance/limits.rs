//! The limits of instances, as they count for their owner's quota.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    db::{Conn, DbError},
    ids::{InstanceId, UserId},
};

/// The resources of a person's instances, including those being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Usage {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub instances: i64,
    /// The highest limit that each instance may reach: current, pending, and on both sides of a change that is under
    /// way or still to be undone.
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub memory_mb: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub cpu_millis: i64,
}

/// The resources of a person's instances, optionally without one of them.
pub async fn usage_of(conn: &mut Conn, owner: UserId, without: Option<&InstanceId>) -> Result<Usage, DbError> {
    let query = format!(
        "SELECT count(*) AS instances, coalesce(sum(peak.memory_mb), 0)::bigint AS memory_mb, \
         coalesce(sum(peak.cpu_millis), 0)::bigint AS cpu_millis \
         FROM instances {PEAK} WHERE owner_id = $1 AND instances.id <> $2"
    );
    Ok(diesel::sql_query(query)
        .bind::<diesel::sql_types::Uuid, _>(owner)
        .bind::<diesel::sql_types::Text, _>(without.map_or("", InstanceId::as_str))
        .get_result(conn)
        .await?)
}

/// The highest limits that an instance may reach by what was already accepted. `greatest` ignores nulls.
const PEAK: &str = "CROSS JOIN LATERAL ( \
       SELECT greatest(instances.memory_mb, (instances.pending_settings->>'memoryMb')::integer, \
                max((side.settings->>'memoryMb')::integer)) AS memory_mb, \
              greatest(instances.cpu_millis, (instances.pending_settings->>'cpuMillis')::integer, \
                max((side.settings->>'cpuMillis')::integer)) AS cpu_millis \
       FROM ( \
         SELECT unnest(ARRAY[changing.from_settings, changing.to_settings]) AS settings FROM snapshots changing \
          WHERE changing.instance_id = instances.id AND changing.status = 'changing' \
         UNION ALL \
         SELECT kept.from_settings FROM jobs waiting JOIN snapshots kept ON kept.id = (waiting.payload->>'snapshotId')::uuid \
          WHERE waiting.instance_id = instances.id AND waiting.status IN ('queued', 'running') AND waiting.kind = 'rollback' \
       ) side) peak";

/// The limits that count for the owner's quota: memory in MiB and thousandths of a core.
pub async fn peak_of(conn: &mut Conn, id: &InstanceId) -> Result<Usage, DbError> {
    let query = format!(
        "SELECT 1::bigint AS instances, peak.memory_mb::bigint AS memory_mb, peak.cpu_millis::bigint AS cpu_millis \
         FROM instances {PEAK} WHERE instances.id = $1"
    );
    Ok(diesel::sql_query(query).bind::<diesel::sql_types::Text, _>(id).get_result(conn).await?)
}
