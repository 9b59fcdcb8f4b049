//! Resource usage of instances: a point a minute, for a day.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Float8, Int4, Int8, Nullable, Text, Uuid},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, Scope, schema::instance_usage};
use crate::ids::InstanceId;

/// A measurement. Counters count since the start of the container.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub cpu_ns: u64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub network_rx_bytes: u64,
    pub network_tx_bytes: u64,
    /// `None`: not known.
    pub disk_bytes: Option<u64>,
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
    /// Of the instance's files; null: it could not be measured.
    pub disk_bytes: Option<i64>,
    pub pids: i64,
}

/// An instance to measure.
#[derive(Debug, Clone, QueryableByName)]
pub struct Due {
    #[diesel(sql_type = Text)]
    pub id: InstanceId,
    #[diesel(sql_type = Text)]
    pub container_id: String,
    /// Bytes of its files. `None`: not known.
    #[diesel(sql_type = Nullable<Int8>)]
    pub disk_bytes: Option<i64>,
}

/// Some running instances without a point for this minute, with the size of their files if that was measured within
/// `age`.
pub async fn due(conn: &mut Conn, age: Duration, limit: i64) -> Result<Vec<Due>, DbError> {
    Ok(diesel::sql_query(
        "SELECT i.id, i.container_id, \
           CASE WHEN i.disk_whole AND i.disk_measured_at > now() - make_interval(secs => $1) THEN i.disk_bytes END AS disk_bytes \
         FROM instances i WHERE i.status = 'running' AND i.container_id IS NOT NULL \
         AND NOT EXISTS (SELECT FROM instance_usage s WHERE s.instance_id = i.id AND s.at = date_trunc('minute', now())) \
         ORDER BY random() LIMIT $2",
    )
    .bind::<Float8, _>(age.as_secs_f64())
    .bind::<Int8, _>(limit)
    .load(conn)
    .await?)
}

/// Records a point for this minute. The first one counts.
pub async fn note(conn: &mut Conn, instance: &InstanceId, measured: Measured) -> Result<(), DbError> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    diesel::sql_query(
        "INSERT INTO instance_usage (instance_id, at, cpu_ns, memory_bytes, memory_limit_bytes, network_rx_bytes, \
           network_tx_bytes, disk_bytes, pids, disk_known) \
         SELECT id, date_trunc('minute', now()), $2, $3, $4, $5, $6, coalesce($7, 0), $8, $7 IS NOT NULL FROM instances WHERE id = $1 \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(instance.as_str())
    .bind::<Int8, _>(count(measured.cpu_ns))
    .bind::<Int8, _>(count(measured.memory_bytes))
    .bind::<Int8, _>(count(measured.memory_limit_bytes))
    .bind::<Int8, _>(count(measured.network_rx_bytes))
    .bind::<Int8, _>(count(measured.network_tx_bytes))
    .bind::<Nullable<Int8>, _>(measured.disk_bytes.map(count))
    .bind::<Int8, _>(count(measured.pids))
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes points older than a day, in batches.
pub async fn forget_old(conn: &mut Conn) -> Result<usize, DbError> {
    Ok(diesel::sql_query(
        "DELETE FROM instance_usage WHERE (instance_id, at) IN \
           (SELECT instance_id, at FROM instance_usage WHERE at < now() - interval '1 day' LIMIT 20000)",
    )
    .execute(conn)
    .await?)
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = instance_usage, check_for_backend(diesel::pg::Pg))]
struct Row {
    at: DateTime<Utc>,
    cpu_ns: i64,
    memory_bytes: i64,
    memory_limit_bytes: i64,
    network_rx_bytes: i64,
    network_tx_bytes: i64,
    disk_bytes: i64,
    pids: i64,
    disk_known: bool,
}

/// The points of the last day, oldest first.
pub async fn history(conn: &mut Conn, instance: &InstanceId) -> Result<Vec<UsagePoint>, DbError> {
    let rows: Vec<Row> = instance_usage::table
        .filter(instance_usage::instance_id.eq(instance))
        .filter(instance_usage::at.gt(diesel::dsl::sql("now() - interval '1 day'")))
        .order(instance_usage::at)
        .select(Row::as_select())
        .load(conn)
        .await?;
    Ok(points(&rows))
}

/// How many minutes [`recent`] goes back.
pub const RECENT_MINUTES: usize = 60;

/// The usage of an instance in the last hour: one value for each minute, ending with the current one. Null: nothing was
/// measured.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentUsage {
    pub id: InstanceId,
    /// Of one core.
    pub cpu_percent: Vec<Option<f64>>,
    pub memory_bytes: Vec<Option<i64>>,
}

#[derive(Debug, QueryableByName)]
struct RecentRow {
    #[diesel(sql_type = Text)]
    id: InstanceId,
    /// How many minutes ago.
    #[diesel(sql_type = Int4)]
    age: i32,
    #[diesel(sql_type = Int8)]
    cpu_ns: i64,
    #[diesel(sql_type = Int8)]
    memory_bytes: i64,
}

/// The usage of these instances in the last hour. Missing: no points, or not visible to the scope.
pub async fn recent(conn: &mut Conn, scope: Scope, ids: &[InstanceId]) -> Result<Vec<RecentUsage>, DbError> {
    let ids: Vec<&str> = ids.iter().map(InstanceId::as_str).collect();
    // One minute more, because the first CPU value is a difference.
    let rows: Vec<RecentRow> = diesel::sql_query(format!(
        "SELECT s.instance_id AS id, (extract(epoch FROM date_trunc('minute', now()) - s.at) / 60)::integer AS age, \
           s.cpu_ns, s.memory_bytes \
         FROM instance_usage s JOIN instances i ON i.id = s.instance_id \
         WHERE s.instance_id = ANY($1) AND ($2 IS NULL OR i.owner_id = $2) \
           AND s.at >= date_trunc('minute', now()) - interval '{RECENT_MINUTES} minutes' AND s.at <= now() \
         ORDER BY s.instance_id, s.at",
    ))
    .bind::<Array<Text>, _>(ids)
    .bind::<Nullable<Uuid>, _>(scope.owner())
    .load(conn)
    .await?;
    Ok(rows.chunk_by(|a, b| a.id == b.id).map(hour).collect())
}

/// The last hour of one instance, from rows ordered by time.
fn hour(rows: &[RecentRow]) -> RecentUsage {
    let mut cpu_percent = vec![None; RECENT_MINUTES];
    let mut memory_bytes = vec![None; RECENT_MINUTES];
    let mut before: Option<&RecentRow> = None;
    for row in rows {
        let place = usize::try_from(row.age).ok().and_then(|age| (RECENT_MINUTES - 1).checked_sub(age));
        if let Some(place) = place {
            memory_bytes[place] = Some(row.memory_bytes);
            let percent = |before: &RecentRow| {
                percent(row.cpu_ns - before.cpu_ns, TimeDelta::minutes(i64::from(before.age - row.age)))
            };
            cpu_percent[place] = before.and_then(percent);
        }
        before = Some(row);
    }
    RecentUsage { id: rows[0].id.clone(), cpu_percent, memory_bytes }
}

fn points(rows: &[Row]) -> Vec<UsagePoint> {
    let before = std::iter::once(None).chain(rows.iter().map(Some));
    let point = |(row, before): (&Row, Option<&Row>)| UsagePoint {
        at: row.at,
        cpu_percent: before.and_then(|before| percent(row.cpu_ns - before.cpu_ns, row.at - before.at)),
        memory_bytes: row.memory_bytes,
        memory_limit_bytes: row.memory_limit_bytes,
        network_rx_bytes: row.network_rx_bytes,
        network_tx_bytes: row.network_tx_bytes,
        disk_bytes: row.disk_known.then_some(row.disk_bytes),
        pids: row.pids,
    };
    rows.iter().zip(before).map(point).collect()
}

/// `None` if the container was restarted in between or too much time has passed.
#[expect(clippy::cast_precision_loss, reason = "a percentage with one decimal")]
fn percent(used: i64, passed: TimeDelta) -> Option<f64> {
    let passed = passed.num_nanoseconds()?;
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
        let disk_known = true;
        Row {
            at,
            cpu_ns,
            memory_bytes,
            memory_limit_bytes,
            network_rx_bytes,
            network_tx_bytes,
            disk_bytes,
            pids,
            disk_known,
        }
    }

    #[test]
    fn what_was_not_measured_is_no_zero() {
        let unknown = Row { disk_bytes: 0, disk_known: false, ..row(2, 0) };
        let bytes: Vec<_> = points(&[row(1, 0), unknown]).iter().map(|point| point.disk_bytes).collect();
        assert_eq!(bytes, [Some(5), None]);
    }

    #[test]
    fn the_cpu_between_two_points() {
        let rows = [row(1, 9_000_000_000), row(2, 24_000_000_000), row(3, 1_000_000_000), row(30, 2_000_000_000)];
        let percents: Vec<_> = points(&rows).iter().map(|point| point.cpu_percent).collect();
        assert_eq!(percents, [None, Some(25.0), None, None]);
        assert_eq!(points(&[]), []);
    }

    #[test]
    fn an_hour_has_a_place_for_each_minute() {
        let id = InstanceId::random();
        let row = |age: i32, cpu_ns: i64| RecentRow { id: id.clone(), age, cpu_ns, memory_bytes: i64::from(age) };
        let told = hour(&[row(60, 0), row(59, 30_000_000_000), row(30, 31_000_000_000), row(0, 1)]);
        assert_eq!((told.cpu_percent.len(), told.memory_bytes.len()), (RECENT_MINUTES, RECENT_MINUTES));
        let measured = |values: &[Option<i64>]| {
            let values = values.iter().enumerate().filter_map(|(place, value)| value.map(|value| (place, value)));
            values.collect::<Vec<_>>()
        };
        assert_eq!(measured(&told.memory_bytes), [(0, 59), (29, 30), (59, 0)]);
        assert_eq!(told.cpu_percent.iter().flatten().collect::<Vec<_>>(), [&50.0]);
        assert_eq!(told.cpu_percent[0], Some(50.0));
    }
}
