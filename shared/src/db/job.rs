//! Accepts, finds and cancels jobs. [`super::lease`] claims and runs them.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types::Text,
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

pub use self::list::{JobFilter, JobPage, WINDOW, list, page};
use super::{Conn, DbError, Scope, job_event, job_event::NewJobEvent, literal::Literal, schema::jobs};
use crate::{
    ids::{InstanceId, JobId, UserId},
    instance::DesiredState,
    job::{JobEventKind, JobKind, JobStatus, Queue, UndoOutcome},
};

mod list;

#[derive(Debug, Clone, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = jobs, check_for_backend(diesel::pg::Pg))]
pub struct Job {
    pub id: JobId,
    pub seq: i64,
    pub kind: JobKind,
    pub queue: Queue,
    pub instance_id: Option<InstanceId>,
    pub owner_id: Option<UserId>,
    pub requested_by: Option<UserId>,
    pub payload: Value,
    pub status: JobStatus,
    pub attempt: i64,
    pub failures: i32,
    pub crashes: i32,
    pub run_at: DateTime<Utc>,
    pub leased_by: Option<String>,
    pub lease_until: Option<DateTime<Utc>>,
    pub unwinding_to: Option<UndoOutcome>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub progress: i16,
    pub step: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub depends_on: Option<JobId>,
    pub idempotency_hash: Option<Vec<u8>>,
    pub request_id: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// The argument of a stop or a delete that holds the desired state from before it.
pub const DESIRED_BEFORE: &str = "desiredBefore";

/// The argument of a delete that says that an undo left the gateway stopped for it. If the delete is cancelled, the
/// gateway has to be started ([`super::stuck::left_stopped`]).
const LEFT_STOPPED: &str = "leftStopped";

/// A job to accept. Its arguments never hold a secret.
#[derive(Debug, Insertable)]
#[diesel(table_name = jobs)]
pub struct NewJob<'a> {
    pub id: JobId,
    pub kind: JobKind,
    pub queue: Queue,
    pub instance_id: Option<&'a InstanceId>,
    pub owner_id: Option<UserId>,
    pub requested_by: Option<UserId>,
    pub payload: Value,
    /// The new job waits until this one has ended, and fails if it did not succeed.
    pub depends_on: Option<JobId>,
    pub dedupe_key: Option<&'a str>,
    pub idempotency_key: Option<&'a str>,
    pub idempotency_hash: Option<Vec<u8>>,
    pub request_id: Option<&'a str>,
}

impl<'a> NewJob<'a> {
    /// A job of the system without an instance. Callers set the other fields.
    pub fn new(kind: JobKind) -> Self {
        Self {
            id: JobId::generate(),
            kind,
            queue: kind.queue(),
            instance_id: None,
            owner_id: None,
            requested_by: None,
            payload: Value::Object(serde_json::Map::new()),
            depends_on: None,
            dedupe_key: None,
            idempotency_key: None,
            idempotency_hash: None,
            request_id: None,
        }
    }

    /// The same, on an instance.
    pub fn on_instance(kind: JobKind, instance: &'a InstanceId, owner: impl Into<Option<UserId>>) -> Self {
        Self { instance_id: Some(instance), owner_id: owner.into(), ..Self::new(kind) }
    }
}

/// Accepts a job. Once the transaction commits, the job will run even if its ring is lost.
pub async fn insert(conn: &mut Conn, job: &NewJob<'_>) -> Result<Job, DbError> {
    let row: Job = diesel::insert_into(jobs::table).values(job).returning(Job::as_returning()).get_result(conn).await?;
    job_event::insert(conn, &NewJobEvent::new(row.id, 0, JobEventKind::Accepted, "Accepted")).await?;
    Ok(row)
}

/// Like [`insert`], unless an open job has the same `dedupe_key`: then returns that one and false.
pub async fn insert_or_join(conn: &mut Conn, job: &NewJob<'_>) -> Result<(Job, bool), DbError> {
    // The open job may end between the two statements. The next round then inserts a new one.
    for _ in 0..5 {
        let made: Option<Job> = diesel::insert_into(jobs::table)
            .values(job)
            .on_conflict_do_nothing()
            .returning(Job::as_returning())
            .get_result(conn)
            .await
            .optional()?;
        if let Some(row) = made {
            job_event::insert(conn, &NewJobEvent::new(row.id, 0, JobEventKind::Accepted, "Accepted")).await?;
            return Ok((row, true));
        }
        let Some(key) = job.dedupe_key else { break };
        if let Some(row) = open_by_key(conn, key).await? {
            return Ok((row, false));
        }
    }
    Err(DbError::Query(diesel::result::Error::NotFound))
}

/// The open job with this `dedupe_key`.
pub async fn open_by_key(conn: &mut Conn, dedupe_key: &str) -> Result<Option<Job>, DbError> {
    Ok(jobs::table
        .filter(jobs::dedupe_key.eq(dedupe_key).and(is_open()))
        .select(Job::as_select())
        .first(conn)
        .await
        .optional()?)
}

impl Job {
    /// Whether the job is being undone or will be, so that waiting for its result is of no use.
    pub fn is_taken_back(&self) -> bool {
        self.cancel_requested_at.is_some() || self.unwinding_to.is_some()
    }

    /// The desired state of the instance before this job, if the job recorded it.
    pub fn desired_before(&self) -> Option<DesiredState> {
        self.payload[DESIRED_BEFORE].as_str()?.parse().ok()
    }
}

/// The condition for a job that has not ended, as in the partial indexes on open jobs.
pub(super) fn is_open() -> Literal {
    Literal::new("(jobs.status IN ('queued', 'running'))")
}

fn visible<'a>(scope: Scope) -> jobs::BoxedQuery<'a, diesel::pg::Pg> {
    let query = jobs::table.into_boxed();
    match scope {
        Scope::Owner(owner) => query.filter(jobs::owner_id.eq(owner)),
        Scope::Everything => query,
    }
}

/// Whether the job was asked to end.
pub async fn cancel_requested(conn: &mut Conn, id: JobId) -> Result<bool, DbError> {
    let asked = jobs::table.find(id).select(jobs::cancel_requested_at.is_not_null());
    Ok(asked.first(conn).await.optional()?.unwrap_or(false))
}

pub async fn find(conn: &mut Conn, scope: Scope, id: JobId) -> Result<Option<Job>, DbError> {
    Ok(visible(scope).filter(jobs::id.eq(id)).select(Job::as_select()).first(conn).await.optional()?)
}

/// Like [`find`] for everything, but locks the row until the transaction ends.
pub async fn find_for_update(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    Ok(jobs::table.find(id).for_update().select(Job::as_select()).first(conn).await.optional()?)
}

/// An open job that depends on this one.
pub async fn open_dependent(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    Ok(jobs::table
        .filter(jobs::depends_on.eq(id).and(is_open()))
        .order(jobs::seq)
        .select(Job::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// The job that an earlier request of this person made with the same Idempotency-Key.
pub async fn find_by_idempotency_key(conn: &mut Conn, requested_by: UserId, key: &str) -> Result<Option<Job>, DbError> {
    Ok(jobs::table
        .filter(jobs::requested_by.eq(requested_by).and(jobs::idempotency_key.eq(key)))
        .select(Job::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// The open jobs of an instance, in order of arrival.
pub async fn open_on(conn: &mut Conn, instance: &InstanceId) -> Result<Vec<Job>, DbError> {
    Ok(jobs::table
        .filter(jobs::instance_id.eq(instance).and(is_open()))
        .order(jobs::seq)
        .select(Job::as_select())
        .load(conn)
        .await?)
}

/// Like [`open_on`], but locks the rows until the transaction ends.
///
/// Workers lock a job before its instance. To take both locks, call this before [`super::instance::find_for_update`],
/// or the two may deadlock.
pub async fn lock_open_on(conn: &mut Conn, instance: &InstanceId) -> Result<(), DbError> {
    let open = jobs::table.filter(jobs::instance_id.eq(instance).and(is_open()));
    open.order(jobs::seq).for_update().select(jobs::id).load::<JobId>(conn).await?;
    Ok(())
}

/// The open jobs of any of these instances, in order of arrival.
pub async fn open_on_any(conn: &mut Conn, instances: &[&InstanceId]) -> Result<Vec<Job>, DbError> {
    Ok(jobs::table
        .filter(jobs::instance_id.eq_any(instances).and(is_open()))
        .order(jobs::seq)
        .select(Job::as_select())
        .load(conn)
        .await?)
}

diesel::define_sql_function! {
    /// Counts the jobs of all people, regardless of the caller's scope.
    fn jobs_ahead(waiting: diesel::sql_types::Uuid) -> diesel::sql_types::BigInt;
}

/// How many due jobs of the same queue come before a waiting one.
pub async fn count_ahead(conn: &mut Conn, waiting: JobId) -> Result<i64, DbError> {
    Ok(diesel::select(jobs_ahead(waiting)).get_result(conn).await?)
}

/// Asks a job to end. A queued job that has done nothing yet ends at once, any other at its next safe point, where its
/// steps are undone. `None`: it has already ended.
pub async fn request_cancel(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    let untouched = jobs::table.find(id).filter(jobs::status.eq(JobStatus::Queued).and(jobs::attempt.eq(0)));
    let ended: Option<Job> = diesel::update(untouched)
        .set((jobs::status.eq(JobStatus::Cancelled), jobs::cancel_requested_at.eq(now), jobs::finished_at.eq(now)))
        .returning(Job::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    if let Some(job) = ended {
        let event = NewJobEvent::new(id, 0, JobEventKind::Finished, "Cancelled before it began");
        job_event::insert(conn, &event).await?;
        return Ok(Some(job));
    }
    let open = jobs::table.find(id).filter(is_open());
    let asked: Option<Job> = diesel::update(open)
        // A job that waits for a retry has steps to undo: it becomes due now and sees the request.
        .set((
            jobs::cancel_requested_at.eq(sql::<diesel::sql_types::Nullable<diesel::sql_types::Timestamptz>>(
                "coalesce(cancel_requested_at, now())",
            )),
            jobs::run_at.eq(now),
        ))
        .returning(Job::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    if let Some(job) = &asked {
        let event = NewJobEvent::new(id, job.attempt, JobEventKind::CancelRequested, "Asked to stop");
        job_event::insert(conn, &event).await?;
    }
    Ok(asked)
}

/// Queues a failed or cancelled job again as if it were new. `None`: it is neither, or it is gone.
pub async fn retry(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    let dead = jobs::table.find(id).filter(jobs::status.eq_any([JobStatus::Failed, JobStatus::Cancelled]));
    let row: Option<Job> = diesel::update(dead)
        .set((
            jobs::status.eq(JobStatus::Queued),
            jobs::run_at.eq(now),
            jobs::failures.eq(0),
            jobs::crashes.eq(0),
            jobs::undo.eq(None::<Value>),
            jobs::progress.eq(0),
            jobs::unwinding_to.eq(None::<UndoOutcome>),
            jobs::cancel_requested_at.eq(None::<DateTime<Utc>>),
            jobs::finished_at.eq(None::<DateTime<Utc>>),
            jobs::error_code.eq(None::<String>),
            jobs::error_message.eq(None::<String>),
        ))
        .returning(Job::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    if let Some(job) = &row {
        job_event::insert(
            conn,
            &NewJobEvent::new(
                id,
                job.attempt,
                JobEventKind::Accepted,
                "Retried by an \
                                                                                            administrator",
            ),
        )
        .await?;
    }
    Ok(row)
}

/// Records the desired state from before a retried job.
pub async fn note_desired_before(conn: &mut Conn, id: JobId, desired: DesiredState) -> Result<(), DbError> {
    let payload = sql::<diesel::sql_types::Jsonb>("payload || ")
        .bind::<diesel::sql_types::Jsonb, _>(serde_json::json!({ DESIRED_BEFORE: desired }));
    diesel::update(jobs::table.find(id)).set(jobs::payload.eq(payload)).execute(conn).await?;
    Ok(())
}

/// Tells the delete that waits on an instance that the gateway is left stopped for it. `false`: none waits, or it was
/// cancelled.
///
/// Locks the delete, so a cancel comes either before this or sees its result.
pub async fn leave_stopped(conn: &mut Conn, instance: &InstanceId) -> Result<bool, DbError> {
    let waiting = jobs::table
        .filter(jobs::instance_id.eq(instance).and(jobs::kind.eq(JobKind::Delete)))
        .filter(jobs::status.eq(JobStatus::Queued).and(jobs::cancel_requested_at.is_null()));
    let payload = sql::<diesel::sql_types::Jsonb>("payload || ")
        .bind::<diesel::sql_types::Jsonb, _>(serde_json::json!({ LEFT_STOPPED: true }));
    Ok(diesel::update(waiting).set(jobs::payload.eq(payload)).execute(conn).await? > 0)
}

/// Queues a job again whose undo was given up, to continue the undo. `None`: its undo was not given up, or it is gone.
///
/// Its log continues, because it shows which steps to undo.
pub async fn retry_undo(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    let dead = jobs::table.find(id).filter(jobs::status.eq(JobStatus::Failed).and(jobs::unwinding_to.is_not_null()));
    let row: Option<Job> = diesel::update(dead)
        .set((
            jobs::status.eq(JobStatus::Queued),
            jobs::run_at.eq(now),
            jobs::crashes.eq(0),
            jobs::undo.eq(None::<Value>),
            jobs::finished_at.eq(None::<DateTime<Utc>>),
            // It ends with the failure or cancel that it was undone for.
            jobs::error_code.eq(sql::<diesel::sql_types::Nullable<Text>>("undo->>'code'")),
            jobs::error_message.eq(sql::<diesel::sql_types::Nullable<Text>>("undo->>'message'")),
        ))
        .returning(Job::as_returning())
        .get_result(conn)
        .await
        .optional()?;
    if let Some(job) = &row {
        let message = "Retried by an administrator; continuing the undo";
        job_event::insert(conn, &NewJobEvent::new(id, job.attempt, JobEventKind::Log, message)).await?;
    }
    Ok(row)
}

/// Whether an instance has no newer job than this one.
pub async fn is_newest_on(conn: &mut Conn, instance: &InstanceId, seq: i64) -> Result<bool, DbError> {
    let newer = jobs::table.filter(jobs::instance_id.eq(instance).and(jobs::seq.gt(seq)));
    Ok(!diesel::select(diesel::dsl::exists(newer)).get_result::<bool>(conn).await?)
}

/// Deletes a failed or cancelled job and its log. False: it is neither, or it is gone.
///
/// Dependent jobs would no longer see that it did not succeed. Lock it with [`find_for_update`] and check for an
/// [`open_dependent`] first.
pub async fn delete_dead(conn: &mut Conn, id: JobId) -> Result<bool, DbError> {
    let dead = jobs::table.find(id).filter(jobs::status.eq_any([JobStatus::Failed, JobStatus::Cancelled]));
    Ok(diesel::delete(dead).execute(conn).await? > 0)
}
