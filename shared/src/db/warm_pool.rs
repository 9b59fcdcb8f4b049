//! The rows of the warm pool.
//!
//! A warm instance is a row without an owner, which no query in a person's name finds. It stays `pending`, so that
//! whatever looks at instances by another status passes over it. `warm_instances` says how far it is. Taking one is left
//! to a function of the database, because a person's transaction cannot see such a row.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Bool, Float8, Int4, Int8, Nullable, Text, Timestamptz, Uuid},
};
use diesel_async::{AsyncConnection as _, RunQueryDsl};

use super::{
    Conn, DbError,
    instance::{self, NewInstance},
    job::{self, Job, NewJob},
};
use crate::{
    ids::{InstanceId, JobId},
    job::JobKind,
    warm_pool::HeldBack,
};

/// An arbitrary number, the same in every process: one worker at a time decides about the pool.
const LOCK: i64 = 0x0063_6c61_7761_726d;

/// Days that the counts of creations are kept for.
pub const KEEP_DAYS: i32 = 90;

/// A warm instance that nobody has taken.
///
/// A row of `warm_instances` stays until its owner has the instance, that is, until the creation has succeeded.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct WarmInstance {
    #[diesel(sql_type = Text)]
    pub id: InstanceId,
    #[diesel(sql_type = Nullable<Text>)]
    pub container_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub image_id: Option<String>,
    #[diesel(sql_type = Int4)]
    pub memory_mb: i32,
    /// Its gateway is frozen and may be taken.
    #[diesel(sql_type = Bool)]
    pub ready: bool,
    /// A job makes it.
    #[diesel(sql_type = Bool)]
    pub warming: bool,
    /// A job removes it.
    #[diesel(sql_type = Bool)]
    pub leaving: bool,
    /// How long it has been ready, in seconds.
    #[diesel(sql_type = Float8)]
    pub age_seconds: f64,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

/// Whether this transaction may decide about the pool. False: another one does.
pub async fn lock(conn: &mut Conn) -> Result<bool, DbError> {
    let answer: Answer =
        diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS yes").bind::<Int8, _>(LOCK).get_result(conn).await?;
    Ok(answer.yes)
}

/// All warm instances that nobody has taken, the oldest first.
pub async fn list(conn: &mut Conn) -> Result<Vec<WarmInstance>, DbError> {
    Ok(diesel::sql_query(
        "SELECT i.id, i.container_id, i.image_id, i.memory_mb, w.ready_at IS NOT NULL AS ready, \
           open.kind IS NOT DISTINCT FROM 'warm_up' AS warming, open.kind IS NOT DISTINCT FROM 'discard' AS leaving, \
           coalesce(extract(epoch FROM now() - w.ready_at), 0)::float8 AS age_seconds \
         FROM instances i JOIN warm_instances w ON w.instance_id = i.id \
           LEFT JOIN LATERAL (SELECT kind FROM jobs WHERE jobs.instance_id = i.id AND jobs.status IN ('queued', 'running') \
             ORDER BY seq DESC LIMIT 1) open ON true \
         WHERE i.owner_id IS NULL ORDER BY w.ready_at, i.id",
    )
    .load(conn)
    .await?)
}

/// Adds an instance to the pool: its row, and the job that makes it. `new` has no owner.
pub async fn add(conn: &mut Conn, new: &NewInstance<'_>) -> Result<Job, DbError> {
    conn.transaction::<_, DbError, _>(async |conn| {
        instance::insert(conn, new).await?;
        let job = job::insert(conn, &NewJob::on_instance(JobKind::WarmUp, new.id, None)).await?;
        diesel::sql_query("INSERT INTO warm_instances (instance_id, warmed_by) VALUES ($1, $2)")
            .bind::<Text, _>(new.id)
            .bind::<Uuid, _>(job.id)
            .execute(conn)
            .await?;
        Ok(job)
    })
    .await
}

/// Removes an instance from the pool: from now on nobody can take it, and a job removes it. `None`: somebody has taken it,
/// or a job is open on it.
pub async fn discard(conn: &mut Conn, id: &InstanceId) -> Result<Option<Job>, DbError> {
    conn.transaction::<_, DbError, _>(async |conn| {
        if !job::open_on(conn, id).await?.is_empty() {
            return Ok(None);
        }
        // The row that a creation locks and reads again.
        let left = diesel::sql_query(
            "UPDATE warm_instances SET ready_at = NULL WHERE instance_id = $1 AND taken_at IS NULL \
               AND EXISTS (SELECT FROM instances WHERE id = $1 AND owner_id IS NULL)",
        )
        .bind::<Text, _>(id)
        .execute(conn)
        .await?;
        if left == 0 {
            return Ok(None);
        }
        Ok(Some(job::insert(conn, &NewJob::on_instance(JobKind::Discard, id, None)).await?))
    })
    .await
}

/// Records that a warm instance is ready to be taken.
pub async fn note_ready(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::sql_query("UPDATE warm_instances SET ready_at = now() WHERE instance_id = $1")
        .bind::<Text, _>(id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that an instance is no longer warm: it has to boot, or is being removed.
pub async fn note_cold(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::sql_query("UPDATE warm_instances SET ready_at = NULL WHERE instance_id = $1 AND ready_at IS NOT NULL")
        .bind::<Text, _>(id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that an instance has its owner: from now on it is one like any other.
pub async fn hand_over(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::sql_query("DELETE FROM warm_instances WHERE instance_id = $1").bind::<Text, _>(id).execute(conn).await?;
    Ok(())
}

/// Deletes an instance that belongs to nobody, and frees its port. One that somebody has taken stays.
pub async fn forget(conn: &mut Conn, id: &InstanceId) -> Result<(), DbError> {
    diesel::sql_query("DELETE FROM instances WHERE id = $1 AND owner_id IS NULL")
        .bind::<Text, _>(id)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Text)]
    instance_id: InstanceId,
}

/// Gives a warm instance to the person in whose name the transaction asks, under this name. `None`: there is none with
/// this memory limit. Either is counted.
///
/// Violating `instances_owner_name_unique` means that the person already has one of that name.
pub async fn take(conn: &mut Conn, name: &str, memory_mb: i32) -> Result<Option<InstanceId>, DbError> {
    let taken: Option<Taken> = diesel::sql_query("SELECT take_warm_instance($1, $2) AS instance_id")
        .bind::<Text, _>(name)
        .bind::<Int4, _>(memory_mb)
        .get_result(conn)
        .await
        .optional()?;
    Ok(taken.map(|taken| taken.instance_id))
}

/// Where an instance comes from, if it was made for the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Origin {
    /// The job that made it.
    #[diesel(sql_type = Uuid)]
    pub warmed_by: JobId,
    /// Its gateway has booted and was frozen, and nothing has gone wrong with it since.
    #[diesel(sql_type = Bool)]
    pub ready: bool,
}

/// Where an instance comes from. `None`: it was not made for the pool.
pub async fn origin(conn: &mut Conn, id: &InstanceId) -> Result<Option<Origin>, DbError> {
    let sql = "SELECT warmed_by, ready_at IS NOT NULL AS ready FROM warm_instances WHERE instance_id = $1";
    Ok(diesel::sql_query(sql).bind::<Text, _>(id).get_result(conn).await.optional()?)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Int8)]
    count: i64,
}

/// How many instances were created within the last `minutes`. Those deleted since are not counted.
pub async fn created_lately(conn: &mut Conn, minutes: i32) -> Result<i64, DbError> {
    let count: Count = diesel::sql_query(
        "SELECT count(*) AS count FROM instances WHERE owner_id IS NOT NULL AND created_at > now() - make_interval(mins => $1)",
    )
    .bind::<Int4, _>(minutes)
    .get_result(conn)
    .await?;
    Ok(count.count)
}

#[derive(QueryableByName)]
struct Failed {
    #[diesel(sql_type = Uuid)]
    id: JobId,
}

/// The last job of a kind, if it failed within the last `minutes`.
pub async fn failed_lately(conn: &mut Conn, kind: JobKind, minutes: i32) -> Result<Option<JobId>, DbError> {
    // The literals let the plan use the index on the rare kinds.
    let kind = if kind == JobKind::Discard { "discard" } else { "warm_up" };
    let failed: Option<Failed> = diesel::sql_query(format!(
        "SELECT id FROM (SELECT id, status, finished_at FROM jobs WHERE kind = '{kind}' ORDER BY seq DESC LIMIT 1) last \
         WHERE status = 'failed' AND finished_at > now() - make_interval(mins => $1)"
    ))
    .bind::<Int4, _>(minutes)
    .get_result(conn)
    .await
    .optional()?;
    Ok(failed.map(|failed| failed.id))
}

/// Records what was decided about the pool.
pub async fn record(conn: &mut Conn, wanted: i32, held_back: Option<HeldBack>) -> Result<(), DbError> {
    diesel::sql_query(
        "INSERT INTO warm_pool (wanted, held_back) VALUES ($1, $2) \
         ON CONFLICT (singleton) DO UPDATE SET wanted = $1, held_back = $2, checked_at = now()",
    )
    .bind::<Int4, _>(wanted)
    .bind::<Nullable<Text>, _>(held_back.map(HeldBack::as_str))
    .execute(conn)
    .await?;
    Ok(())
}

/// The pool, as administrators see it.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Pool {
    /// How many warm instances there should be.
    #[diesel(sql_type = Int4)]
    pub wanted: i32,
    /// A [`HeldBack`], or what a newer version wrote.
    #[diesel(sql_type = Nullable<Text>)]
    pub held_back: Option<String>,
    #[diesel(sql_type = Int8)]
    pub ready: i64,
    #[diesel(sql_type = Int8)]
    pub warming: i64,
    /// Memory limits of all of them, in MiB.
    #[diesel(sql_type = Int8)]
    pub memory_mb: i64,
    /// Since when the oldest one has been ready.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub oldest_ready_at: Option<DateTime<Utc>>,
    /// Creations of the last seven days that took one.
    #[diesel(sql_type = Int8)]
    pub taken: i64,
    /// Creations of the last seven days that found none.
    #[diesel(sql_type = Int8)]
    pub missed: i64,
}

/// The pool now. `None`: no worker has decided about it within the last two minutes.
pub async fn pool(conn: &mut Conn) -> Result<Option<Pool>, DbError> {
    Ok(diesel::sql_query(
        "SELECT p.wanted, p.held_back, m.*, d.* FROM warm_pool p CROSS JOIN ( \
           SELECT count(*) FILTER (WHERE w.ready_at IS NOT NULL) AS ready, \
             count(*) FILTER (WHERE w.ready_at IS NULL AND EXISTS (SELECT FROM jobs WHERE jobs.instance_id = i.id \
               AND jobs.kind = 'warm_up' AND jobs.status IN ('queued', 'running'))) AS warming, \
             coalesce(sum(i.memory_mb), 0)::bigint AS memory_mb, min(w.ready_at) AS oldest_ready_at \
           FROM instances i JOIN warm_instances w ON w.instance_id = i.id WHERE i.owner_id IS NULL) m CROSS JOIN ( \
           SELECT coalesce(sum(taken), 0)::bigint AS taken, coalesce(sum(missed), 0)::bigint AS missed \
           FROM warm_pool_days WHERE day > current_date - 7) d \
         WHERE p.checked_at > now() - interval '2 minutes'",
    )
    .get_result(conn)
    .await
    .optional()?)
}

/// Deletes the counts of days that are no longer kept.
pub async fn forget_days(conn: &mut Conn) -> Result<(), DbError> {
    diesel::sql_query("DELETE FROM warm_pool_days WHERE day < current_date - $1::integer")
        .bind::<Int4, _>(KEEP_DAYS)
        .execute(conn)
        .await?;
    Ok(())
}
