//! Deletes what is older than it needs to be kept, in batches.
//!
//! Each batch is one statement, and so one short transaction. It skips rows that somebody else has locked; the next run
//! finds them. A run walks through the old rows once, with a [`Cursor`], so that those which have to stay are looked at
//! once.
//!
//! Builds and changes go first. A job stays as long as a build, a change, a rollout or another job refers to it.
//!
//! [`tables`] says for each table how long its rows are kept.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Int4, Int8, Nullable, Timestamptz, Uuid},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError};

pub mod tables;

/// Rows that one statement looks at.
pub const BATCH: i64 = 1000;

/// How far a walk through the old rows of a table has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(Option<(DateTime<Utc>, uuid::Uuid)>);

/// The result of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Rows that were deleted.
    pub removed: i64,
    /// Old rows that it looked at.
    pub seen: i64,
    /// Where to continue; `None`: these were the last ones.
    pub next: Option<Cursor>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Int8)]
    removed: i64,
    #[diesel(sql_type = Int8)]
    seen: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Uuid>)]
    id: Option<uuid::Uuid>,
}

/// What stays, however old it is. `OFFSET 0` makes Postgres look up each job in an index; otherwise it may read the
/// whole table for a batch.
///
/// - A job whose undo was given up: its log says what is left to undo when an administrator retries it.
/// - A job that another one depends on, which is not to run without its result when it is retried.
/// - The job of a change, a build or a member of a rollout that has a row.
/// - The last rollout: the next one begins with those that went well in it.
/// - The last job of each instance that exists or can be restored: sweeps judge by it what happened to the instance.
const JOB_STAYS: &str = "(job.status = 'failed' AND job.error_code = 'undo_failed') \
    OR EXISTS (SELECT FROM jobs dependent WHERE dependent.depends_on = job.id OFFSET 0) \
    OR EXISTS (SELECT FROM snapshots change WHERE change.job_id = job.id OFFSET 0) \
    OR EXISTS (SELECT FROM images build WHERE build.job_id = job.id OFFSET 0) \
    OR EXISTS (SELECT FROM rollout_members member WHERE member.update_job_id = job.id OFFSET 0) \
    OR (job.kind = 'update_all' AND NOT EXISTS (SELECT FROM rollout_members later WHERE later.job_id > job.id OFFSET 0)) \
    OR (job.instance_id IS NOT NULL \
      AND NOT EXISTS (SELECT FROM jobs newer WHERE newer.instance_id = job.instance_id AND newer.seq > job.seq OFFSET 0) \
      AND (EXISTS (SELECT FROM instances i WHERE i.id = job.instance_id OFFSET 0) \
        OR EXISTS (SELECT FROM recoverable_instances r WHERE r.id = job.instance_id OFFSET 0)))";

/// A change that ended this long ago, by the last of its times. It stays while its instance has an open job, which may
/// roll back to it.
const CHANGE_STAYS: &str = "change.status NOT IN ('kept', 'rolled_back') OR change.stuck_at IS NOT NULL \
    OR greatest(change.created_at, change.stopped_at, change.restored_at, change.expires_at) >= page.cutoff \
    OR EXISTS (SELECT FROM jobs open WHERE open.instance_id = change.instance_id AND open.status IN ('queued', 'running') OFFSET 0)";

/// A build stays while its image may exist or something was made from it.
const BUILD_STAYS: &str = "build.status NOT IN ('ready', 'failed', 'cancelled') OR build.finished_at IS NULL \
    OR build.finished_at >= page.cutoff \
    OR (build.image_id IS NOT NULL AND (build.removed_at IS NULL OR build.removed_at >= page.cutoff)) \
    OR EXISTS (SELECT FROM instances i WHERE i.image_id = build.image_id OFFSET 0) \
    OR EXISTS (SELECT FROM snapshots s WHERE build.image_id IN (s.from_image, s.to_image) OFFSET 0) \
    OR EXISTS (SELECT FROM jobs open WHERE open.id = build.job_id AND open.status IN ('queued', 'running') OFFSET 0)";

/// Walks through the rows of a table, called `alias`, whose `at` is older than `days`, and deletes those that do not
/// `stay`. All but the numbers are ours.
async fn delete(
    conn: &mut Conn,
    (table, alias, at, stay): (&str, &str, &str, &str),
    days: i32,
    after: Cursor,
) -> Result<Batch, DbError> {
    let row: Row = diesel::sql_query(format!(
        "WITH page AS MATERIALIZED ( \
           SELECT id, {at} AS at, now() - make_interval(days => $1) AS cutoff FROM {table} \
           WHERE {at} < now() - make_interval(days => $1) AND {at} >= coalesce($2, '-infinity') \
             AND ($2 IS NULL OR ({at}, id) > ($2, $3)) ORDER BY {at}, id LIMIT {BATCH}), \
         doomed AS MATERIALIZED ( \
           SELECT {alias}.id FROM {table} {alias} JOIN page ON page.id = {alias}.id \
           WHERE {alias}.{at} < page.cutoff AND NOT coalesce({stay}, false) FOR UPDATE OF {alias} SKIP LOCKED), \
         gone AS (DELETE FROM {table} WHERE id IN (SELECT id FROM doomed) RETURNING id) \
         SELECT (SELECT count(*) FROM gone) AS removed, (SELECT count(*) FROM page) AS seen, last.at, last.id \
         FROM (SELECT 1) AS one LEFT JOIN (SELECT at, id FROM page ORDER BY at DESC, id DESC LIMIT 1) AS last ON true"
    ))
    .bind::<Int4, _>(days)
    .bind::<Nullable<Timestamptz>, _>(after.0.map(|(at, _)| at))
    .bind::<Nullable<Uuid>, _>(after.0.map(|(_, id)| id))
    .get_result(conn)
    .await?;
    let next = row.at.zip(row.id).filter(|_| row.seen == BATCH);
    Ok(Batch { removed: row.removed, seen: row.seen, next: next.map(|next| Cursor(Some(next))) })
}

/// Deletes jobs that ended more than `days` ago, each with its events and, of a rollout, its members.
pub async fn jobs(conn: &mut Conn, days: i32, after: Cursor) -> Result<Batch, DbError> {
    delete(conn, ("jobs", "job", "finished_at", JOB_STAYS), days, after).await
}

/// Deletes the rows of changes that ended more than `days` ago.
pub async fn changes(conn: &mut Conn, days: i32, after: Cursor) -> Result<Batch, DbError> {
    delete(conn, ("snapshots", "change", "created_at", CHANGE_STAYS), days, after).await
}

/// Deletes the rows of builds that ended, and whose image was removed, more than `days` ago.
pub async fn builds(conn: &mut Conn, days: i32, after: Cursor) -> Result<Batch, DbError> {
    delete(conn, ("images", "build", "created_at", BUILD_STAYS), days, after).await
}

/// Deletes tokens that could not be used for `days`.
pub async fn tokens(conn: &mut Conn, days: i32, after: Cursor) -> Result<Batch, DbError> {
    let valid = "coalesce(least(token.revoked_at, token.expires_at), 'infinity') >= page.cutoff";
    delete(conn, ("api_tokens", "token", "created_at", valid), days, after).await
}

/// Empties the logs of builds that ended more than `days` ago, some at a time. Followers see that their beginning was
/// cut off. Returns how many.
pub async fn build_logs(conn: &mut Conn, days: i32) -> Result<usize, DbError> {
    Ok(diesel::sql_query(
        "UPDATE images SET log_offset = log_offset + octet_length(log), log = '' WHERE id IN ( \
           SELECT id FROM images WHERE finished_at < now() - make_interval(days => $1) AND log <> '' \
           LIMIT 100 FOR UPDATE SKIP LOCKED)",
    )
    .bind::<Int4, _>(days)
    .execute(conn)
    .await?)
}
