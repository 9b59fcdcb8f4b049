//! The host that runs the instances: its memory, what of that is promised, and what is used.

use diesel::{
    prelude::*,
    sql_types::{Float8, Int8, Nullable, Text},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError};
use crate::{capacity::CapacityArgs, ids::InstanceId};

/// An arbitrary number, the same in every process: changes that need memory are admitted one after the other.
const LOCK: i64 = 0x0063_6c61_776d_656d;

/// Days that the growth is averaged over.
pub const GROWTH_DAYS: i32 = 14;

/// Memory of the host, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct HostMemory {
    /// `None`: no worker has told.
    #[diesel(sql_type = Nullable<Int8>)]
    pub total_mb: Option<i64>,
    /// Memory limits of the instances that run, or are to run, together.
    #[diesel(sql_type = Int8)]
    pub promised_mb: i64,
}

/// What the host's memory is used for.
#[derive(Debug, Clone, Copy, PartialEq, QueryableByName)]
pub struct HostUse {
    /// Instances that run or are to run.
    #[diesel(sql_type = Int8)]
    pub instances: i64,
    /// Instances that sleep.
    #[diesel(sql_type = Int8)]
    pub asleep: i64,
    /// Memory that gateways had within the last minutes, in MiB. `None`: none was measured.
    #[diesel(sql_type = Nullable<Int8>)]
    pub used_mb: Option<i64>,
    /// Memory limits of the instances that were created within [`GROWTH_DAYS`] and are to run, in MiB for each day.
    #[diesel(sql_type = Float8)]
    pub growth_mb_per_day: f64,
}

/// Waits until no other transaction promises memory, and holds the right to do so until this one ends.
async fn lock(conn: &mut Conn) -> Result<(), DbError> {
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<Int8, _>(LOCK).execute(conn).await?;
    Ok(())
}

/// The host's memory, as the worker told whose heartbeat is the latest, and what is promised to instances, without
/// `without`. It counts the instances of all people, whoever asks.
pub async fn memory(conn: &mut Conn, without: Option<&InstanceId>) -> Result<HostMemory, DbError> {
    Ok(diesel::sql_query(
        "SELECT (SELECT memory_mb::bigint FROM workers WHERE memory_mb IS NOT NULL AND standby_code IS NULL \
                  ORDER BY heartbeat_at DESC LIMIT 1) AS total_mb, \
           promised_memory_mb($1) AS promised_mb",
    )
    .bind::<Text, _>(without.map_or("", InstanceId::as_str))
    .get_result(conn)
    .await?)
}

/// How much memory is left, in MiB, if it is not enough for `memory_mb` beside all instances but `of`. `None`: it is.
/// From then on, until the transaction ends, no other one can promise it.
pub async fn lacks(
    conn: &mut Conn,
    args: &CapacityArgs,
    memory_mb: i32,
    of: Option<&InstanceId>,
) -> Result<Option<i64>, DbError> {
    if !args.limits() {
        return Ok(None);
    }
    lock(conn).await?;
    let free_mb = args.of(memory(conn, of).await?).map(|capacity| capacity.free_mb());
    Ok(free_mb.filter(|free_mb| i64::from(memory_mb) > *free_mb))
}

/// What the host's memory is used for. Each instance's last point of the last three minutes counts.
pub async fn usage(conn: &mut Conn) -> Result<HostUse, DbError> {
    Ok(diesel::sql_query(
        "SELECT count(*) AS instances, \
           (SELECT count(*) FROM instances WHERE asleep_since IS NOT NULL AND desired_state = 'stopped') AS asleep, \
           (SELECT (sum(memory_bytes) / 1048576)::bigint FROM (SELECT DISTINCT ON (instance_id) memory_bytes FROM instance_usage \
              WHERE at > now() - interval '3 minutes' AND instance_id IN (SELECT id FROM instances WHERE status = 'running') \
              ORDER BY instance_id, at DESC) last) AS used_mb, \
           coalesce(sum(memory_mb) FILTER (WHERE created_at > now() - make_interval(days => $1)), 0)::float8 \
             / (SELECT least($1, greatest(1, extract(epoch FROM now() - min(created_at)) / 86400)) FROM installation) \
             AS growth_mb_per_day \
         FROM instances WHERE desired_state = 'running' AND owner_id IS NOT NULL",
    )
    .bind::<diesel::sql_types::Int4, _>(GROWTH_DAYS)
    .get_result(conn)
    .await?)
}
