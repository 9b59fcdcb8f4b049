//! What instances have used: a point a minute, for a day.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Int8, Text},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::instance_stats};
use crate::ids::InstanceId;

/// What was measured. Counters are those since the container was started.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub cpu_ns: u64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub network_rx_bytes: u64,
    pub network_tx_bytes: u64,
    pub disk_bytes: u64,
    pub pids: u64,
}

/// One point.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsagePoint {
    pub at: DateTime<Utc>,
    /// Of one core, on average since the point before; null where there is none.
    pub cpu_percent: Option<f64>,
    pub memory_bytes: i64,
    pub memory_limit_bytes: i64,
    pub network_rx_bytes: i64,
    pub network_tx_bytes: i64,
    pub disk_bytes: i64,
    pub pids: i64,
}

#[derive(Debug, QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    id: InstanceId,
    #[diesel(sql_type = Text)]
    container_id: String,
}

/// Running instances that have no point for this minute, with their containers: some of them.
pub async fn due(conn: &mut Conn, limit: i64) -> Result<Vec<(InstanceId, String)>, DbError> {
    let due: Vec<Due> = diesel::sql_query(
        "SELECT i.id, i.container_id FROM instances i WHERE i.status = 'running' AND i.container_id IS NOT NULL \
         AND NOT EXISTS (SELECT FROM instance_stats s WHERE s.instance_id = i.id AND s.at = date_trunc('minute', now())) \
         ORDER BY random() LIMIT $1",
    )
    .bind::<Int8, _>(limit)
    .load(conn)
    .await?;
    Ok(due.into_iter().map(|row| (row.id, row.container_id)).collect())
}

/// Notes a point for this minute; the first one counts.
pub async fn note(conn: &mut Conn, instance: &InstanceId, measured: Measured) -> Result<(), DbError> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    diesel::sql_query(
        "INSERT INTO instance_stats (instance_id, at, cpu_ns, memory_bytes, memory_limit_bytes, network_rx_bytes, \
           network_tx_bytes, disk_bytes, pids) \
         SELECT id, date_trunc('minute', now()), $2, $3, $4, $5, $6, $7, $8 FROM instances WHERE id = $1 \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(instance.as_str())
    .bind::<Int8, _>(count(measured.cpu_ns))
    .bind::<Int8, _>(count(measured.memory_bytes))
    .bind::<Int8, _>(count(measured.memory_limit_bytes))
    .bind::<Int8, _>(count(measured.network_rx_bytes))
    .bind::<Int8, _>(count(measured.network_tx_bytes))
    .bind::<Int8, _>(count(measured.disk_bytes))
    .bind::<Int8, _>(count(measured.pids))
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets points of more than a day ago, some at a time.
pub async fn forget_old(conn: &mut Conn) -> Result<usize, DbError> {
    Ok(diesel::sql_query(
        "DELETE FROM instance_stats WHERE (instance_id, at) IN \
           (SELECT instance_id, at FROM instance_stats WHERE at < now() - interval '1 day' LIMIT 20000)",
    )
    .execute(conn)
    .await?)
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = instance_stats, check_for_backend(diesel::pg::Pg))]
struct Row {
    at: DateTime<Utc>,
    cpu_ns: i64,
    memory_bytes: i64,
    memory_limit_bytes: i64,
    network_rx_bytes: i64,
    network_tx_bytes: i64,
    disk_bytes: i64,
    pids: i64,
}

/// The points of the last day, oldest first.
pub async fn history(conn: &mut Conn, instance: &InstanceId) -> Result<Vec<UsagePoint>, DbError> {
    let rows: Vec<Row> = instance_stats::table
        .filter(instance_stats::instance_id.eq(instance))
        .filter(instance_stats::at.gt(diesel::dsl::sql("now() - interval '1 day'")))
        .order(instance_stats::at)
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(points(&rows))
}

fn points(rows: &[Row]) -> Vec<UsagePoint> {
    let before = std::iter::once(None).chain(rows.iter().map(Some));
    let point = |(row, before): (&Row, Option<&Row>)| UsagePoint {
        at: row.at,
        cpu_percent: before.and_then(|before| percent(before, row)),
        memory_bytes: row.memory_bytes,
        memory_limit_bytes: row.memory_limit_bytes,
        network_rx_bytes: row.network_rx_bytes,
        network_tx_bytes: row.network_tx_bytes,
        disk_bytes: row.disk_bytes,
        pids: row.pids,
    };
    rows.iter().zip(before).map(point).collect()
}

/// `None` where the container was started in between, or much time has passed.
#[expect(clippy::cast_precision_loss, reason = "a percentage with one decimal")]
fn percent(before: &Row, row: &Row) -> Option<f64> {
    let (used, passed) = (row.cpu_ns - before.cpu_ns, (row.at - before.at).num_nanoseconds()?);
    let near = passed > 0 && passed <= 5 * 60 * 1_000_000_000;
    (used >= 0 && near).then(|| (used as f64 / passed as f64 * 1000.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(minute: i64, cpu_ns: i64) -> Row {
        let at = DateTime::from_timestamp(minute * 60, 0).unwrap();
        let (memory_bytes, memory_limit_bytes, network_rx_bytes, network_tx_bytes, disk_bytes, pids) =
            (1, 2, 3, 4, 5, 6);
        Row { at, cpu_ns, memory_bytes, memory_limit_bytes, network_rx_bytes, network_tx_bytes, disk_bytes, pids }
    }

    #[test]
    fn the_cpu_between_two_points() {
        let rows = [row(1, 9_000_000_000), row(2, 24_000_000_000), row(3, 1_000_000_000), row(30, 2_000_000_000)];
        let percents: Vec<_> = points(&rows).iter().map(|point| point.cpu_percent).collect();
        assert_eq!(percents, [None, Some(25.0), None, None]);
        assert_eq!(points(&[]), []);
    }
}
