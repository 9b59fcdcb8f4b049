//! Statistics of the queues, now and over the last hour.

use diesel::{prelude::*, sql_types};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError};
use crate::{
    ids::JobId,
    job::{JobKind, Queue},
};

/// Open jobs of a kind, and the age of the oldest.
#[derive(Debug, Clone, QueryableByName)]
pub struct QueueCount {
    #[diesel(sql_type = sql_types::Text)]
    pub queue: Queue,
    #[diesel(sql_type = sql_types::Text)]
    pub kind: JobKind,
    /// Due and not claimed.
    #[diesel(sql_type = sql_types::Int8)]
    pub waiting: i64,
    /// Waiting for their next attempt.
    #[diesel(sql_type = sql_types::Int8)]
    pub delayed: i64,
    #[diesel(sql_type = sql_types::Int8)]
    pub running: i64,
    /// Failed in the last day.
    #[diesel(sql_type = sql_types::Int8)]
    pub failed_last_day: i64,
    /// Age of the oldest job that is due, in seconds.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Float8>)]
    pub oldest_waiting_seconds: Option<f64>,
}

/// The open jobs by queue and kind; kinds without any are left out.
pub async fn counts(conn: &mut Conn) -> Result<Vec<QueueCount>, DbError> {
    Ok(diesel::sql_query(
        "SELECT queue, CASE WHEN kind = ANY($2) THEN kind ELSE 'unknown' END AS kind, \
           count(*) FILTER (WHERE status = 'queued' AND run_at <= now()) AS waiting, \
           count(*) FILTER (WHERE status = 'queued' AND run_at > now()) AS delayed, \
           count(*) FILTER (WHERE status = 'running') AS running, \
           count(*) FILTER (WHERE status = 'failed') AS failed_last_day, \
           extract(epoch FROM now() - min(run_at) FILTER (WHERE status = 'queued' AND run_at <= now()))::float8 AS oldest_waiting_seconds \
         FROM (SELECT queue, kind, status, run_at FROM jobs WHERE status IN ('queued', 'running') \
               UNION ALL \
               SELECT queue, kind, status, run_at FROM jobs WHERE status = 'failed' AND finished_at > now() - interval '1 day') AS counted \
         WHERE queue = ANY($1) \
         GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind::<sql_types::Array<sql_types::Text>, _>(Queue::ALL)
    .bind::<sql_types::Array<sql_types::Text>, _>(JobKind::ALL)
    .load(conn)
    .await?)
}

/// Jobs of a kind that ended in the last hour. Times are in seconds.
#[derive(Debug, Clone, QueryableByName)]
pub struct QueueThroughput {
    #[diesel(sql_type = sql_types::Text)]
    pub queue: Queue,
    /// `None`: all kinds together.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub kind: Option<JobKind>,
    #[diesel(sql_type = sql_types::Int8)]
    pub succeeded: i64,
    #[diesel(sql_type = sql_types::Int8)]
    pub failed: i64,
    #[diesel(sql_type = sql_types::Int8)]
    pub cancelled: i64,
    /// From acceptance to the first claim.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Float8>)]
    pub wait_p50: Option<f64>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Float8>)]
    pub wait_p95: Option<f64>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Float8>)]
    pub wait_p99: Option<f64>,
    /// From the first claim to the end.
    #[diesel(sql_type = sql_types::Nullable<sql_types::Float8>)]
    pub run_p50: Option<f64>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Float8>)]
    pub run_p95: Option<f64>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Float8>)]
    pub run_p99: Option<f64>,
}

/// The jobs that ended in the last hour, by queue, and by queue and kind.
pub async fn last_hour(conn: &mut Conn) -> Result<Vec<QueueThroughput>, DbError> {
    Ok(diesel::sql_query(
        "WITH ended AS ( \
           SELECT queue, CASE WHEN kind = ANY($2) THEN kind ELSE 'unknown' END AS kind, status, extract(epoch FROM started_at - created_at)::float8 AS wait, \
             extract(epoch FROM finished_at - started_at)::float8 AS run \
           FROM jobs WHERE finished_at > now() - interval '1 hour' AND queue = ANY($1)) \
         SELECT queue, kind, \
           count(*) FILTER (WHERE status = 'succeeded') AS succeeded, \
           count(*) FILTER (WHERE status = 'failed') AS failed, \
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled, \
           percentile_cont(0.5) WITHIN GROUP (ORDER BY wait) AS wait_p50, \
           percentile_cont(0.95) WITHIN GROUP (ORDER BY wait) AS wait_p95, \
           percentile_cont(0.99) WITHIN GROUP (ORDER BY wait) AS wait_p99, \
           percentile_cont(0.5) WITHIN GROUP (ORDER BY run) AS run_p50, \
           percentile_cont(0.95) WITHIN GROUP (ORDER BY run) AS run_p95, \
           percentile_cont(0.99) WITHIN GROUP (ORDER BY run) AS run_p99 \
         FROM ended GROUP BY GROUPING SETS ((queue), (queue, kind)) ORDER BY queue, kind",
    )
    .bind::<sql_types::Array<sql_types::Text>, _>(Queue::ALL)
    .bind::<sql_types::Array<sql_types::Text>, _>(JobKind::ALL)
    .load(conn)
    .await?)
}

/// The jobs that ended in one minute of the last hour.
#[derive(Debug, Clone, QueryableByName)]
pub struct QueueMinute {
    #[diesel(sql_type = sql_types::Text)]
    pub queue: Queue,
    /// How many whole minutes ago: 0 to 59.
    #[diesel(sql_type = sql_types::Int4)]
    pub minutes_ago: i32,
    #[diesel(sql_type = sql_types::Int8)]
    pub succeeded: i64,
    #[diesel(sql_type = sql_types::Int8)]
    pub failed: i64,
    #[diesel(sql_type = sql_types::Int8)]
    pub cancelled: i64,
}

/// The jobs that ended in each minute of the last hour, by queue. Minutes without any are left out.
pub async fn minutes(conn: &mut Conn) -> Result<Vec<QueueMinute>, DbError> {
    Ok(diesel::sql_query(
        "SELECT queue, floor(extract(epoch FROM now() - finished_at) / 60)::int4 AS minutes_ago, \
           count(*) FILTER (WHERE status = 'succeeded') AS succeeded, \
           count(*) FILTER (WHERE status = 'failed') AS failed, \
           count(*) FILTER (WHERE status = 'cancelled') AS cancelled \
         FROM jobs WHERE finished_at > now() - interval '1 hour' AND finished_at <= now() AND queue = ANY($1) \
         GROUP BY queue, minutes_ago ORDER BY queue, minutes_ago",
    )
    .bind::<sql_types::Array<sql_types::Text>, _>(Queue::ALL)
    .load(conn)
    .await?)
}

/// How long each of these jobs waited from acceptance to its first claim, in milliseconds by the database's clock. Jobs
/// not done yet are left out.
pub async fn claim_waits(conn: &mut Conn, jobs: &[JobId]) -> Result<Vec<f64>, DbError> {
    #[derive(QueryableByName)]
    struct Wait {
        #[diesel(sql_type = sql_types::Float8)]
        ms: f64,
    }
    let waits: Vec<Wait> = diesel::sql_query(
        "SELECT extract(epoch FROM min(claimed.created_at) - jobs.created_at)::float8 * 1000 AS ms \
         FROM jobs JOIN job_events claimed ON claimed.job_id = jobs.id AND claimed.kind = 'claimed' \
         WHERE jobs.id = ANY($1) AND jobs.status = 'succeeded' GROUP BY jobs.id",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(jobs)
    .load(conn)
    .await?;
    Ok(waits.into_iter().map(|wait| wait.ms).collect())
}
