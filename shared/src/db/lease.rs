//! Claiming jobs and writing what becomes of them.
//!
//! A worker owns a job from its claim, an UPDATE that moves it `queued → running`, until its lease runs out on the
//! database's clock. Every write in the job's name runs in [`fenced`], which fails once another claim was made (the
//! attempt is the fencing number) or the lease ran out; a worker that sees it stops touching the instance.

use std::time::Duration;

use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types,
};
use diesel_async::{AnsiTransactionManager, AsyncConnection as _, RunQueryDsl, TransactionManager as _};
use futures_util::StreamExt as _;

pub use self::undo::{UNDO_FAILED, give_up_undo, retry_undo};
use super::{
    Conn, DbError, instance, instance::Fault, job::Job, job_event, job_event::NewJobEvent, schema::jobs, snapshot,
};
use crate::{
    ids::{InstanceId, JobId},
    instance::InstanceStatus,
    job::{JobEventKind, JobKind, JobStatus, MAX_CRASHES, Queue, Unwinding},
};

mod undo;

/// The right to act in a job's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub job: JobId,
    /// Which claim: the fencing number.
    pub attempt: i64,
    /// The worker that made it.
    pub worker: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else owns the job by now, or may at any moment: stop.
    #[error("the lease on the job is lost")]
    Lost,
    #[error("the database failed")]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for LeaseError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// What a claim has taken.
#[derive(Debug, Default)]
pub struct Claimed {
    pub jobs: Vec<Job>,
    /// Rows that could not be read. They are running in the worker's name, and it has to give them back.
    pub unreadable: Vec<diesel::result::Error>,
}

/// What makes a job `due` one that a claim would take, apart from its time: its queue is not paused, its instance has
/// nothing older open, and its dependency has ended. `$1` are the kinds and `$2` the ways to end that this version knows;
/// `queue` is how the statement says which queue it is about.
pub(super) fn claimable(queue: &str) -> String {
    format!(
        "due.status = 'queued' AND due.kind = ANY($1) AND (due.unwinding_to IS NULL OR due.unwinding_to = ANY($2)) \
         AND NOT EXISTS (SELECT 1 FROM queue_pauses paused WHERE paused.queue = {queue}) \
         AND NOT EXISTS (SELECT 1 FROM jobs older WHERE older.instance_id = due.instance_id \
              AND older.seq < due.seq AND older.status IN ('queued', 'running')) \
         AND NOT EXISTS (SELECT 1 FROM jobs needed WHERE needed.id = due.depends_on \
              AND needed.status IN ('queued', 'running'))"
    )
}

/// When a lease is good: the job runs, and the time has not come.
const GOOD: &str = "(jobs.status = 'running' AND jobs.lease_until > now())";

/// Claims due jobs of a queue, `limit` at most: the first in turn whose instance has nothing older open, and whose
/// dependency has ended.
///
/// Only kinds that this version knows, and ways to end that it knows: anything else waits for a newer worker, and so does
/// what comes after it on its instance. Each row is read by itself, so that none is lost for another's sake.
pub async fn claim(
    conn: &mut Conn,
    queue: Queue,
    worker: &str,
    lease: Duration,
    limit: usize,
) -> Result<Claimed, DbError> {
    let query = diesel::sql_query(format!(
        "WITH next AS ( \
           SELECT due.id FROM jobs due WHERE due.queue = $3 AND due.run_at <= now() AND {claimable} \
           ORDER BY due.turn, due.seq LIMIT $6 FOR UPDATE SKIP LOCKED), \
         taken AS ( \
           UPDATE jobs SET status = 'running', attempt = attempt + 1, leased_by = $4, \
             lease_until = now() + make_interval(secs => $5), started_at = coalesce(started_at, now()) \
           FROM next WHERE jobs.id = next.id RETURNING jobs.*), \
         noted AS ( \
           INSERT INTO job_events (job_id, attempt, kind, message) \
           SELECT id, attempt, 'claimed', 'Taken by ' || $4 FROM taken) \
         SELECT * FROM taken ORDER BY turn, seq",
        claimable = claimable("$3"),
    ))
    .bind::<sql_types::Array<sql_types::Text>, _>(JobKind::ALL)
    .bind::<sql_types::Array<sql_types::Text>, _>(Unwinding::ALL)
    .bind::<sql_types::Text, _>(queue)
    .bind::<sql_types::Text, _>(worker)
    .bind::<sql_types::Float8, _>(lease.as_secs_f64())
    .bind::<sql_types::Int8, _>(i64::try_from(limit).unwrap_or(i64::MAX));
    let mut rows = match query.load_stream::<Job>(conn).await {
        // Two jobs of one instance in the same moment: the index let one through, and the other waits.
        Err(error) if is_second_on_instance(&error) => return Ok(Claimed::default()),
        other => other?,
    };
    let mut claimed = Claimed::default();
    while let Some(row) = rows.next().await {
        match row {
            Ok(job) => claimed.jobs.push(job),
            Err(error @ diesel::result::Error::DeserializationError(_)) => claimed.unreadable.push(error),
            Err(error) if is_second_on_instance(&error) => return Ok(Claimed::default()),
            // The end: the rows of a connection that is closed are one error after another, without end.
            Err(error) => return Err(error.into()),
        }
    }
    Ok(claimed)
}

fn is_second_on_instance(error: &diesel::result::Error) -> bool {
    matches!(error, diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, info)
        if info.constraint_name() == Some("jobs_one_running_per_instance"))
}

/// What a renewal found.
#[derive(Debug, Clone, QueryableByName)]
pub struct Renewed {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: JobId,
    #[diesel(sql_type = sql_types::Int8)]
    pub attempt: i64,
    #[diesel(sql_type = sql_types::Bool)]
    pub cancel_requested: bool,
}

/// Renews the leases of a worker on `jobs`. What is missing from the answer is lost.
///
/// One that has run out and that nobody has taken back is renewed as well: the database stood still for a while, and no
/// worker is to blame for that.
///
/// Only what the worker still runs: a job that it gave up, because it could not write down how the attempt ended, would
/// otherwise stay running for as long as the worker lives.
pub async fn renew(conn: &mut Conn, worker: &str, jobs: &[JobId], lease: Duration) -> Result<Vec<Renewed>, DbError> {
    Ok(diesel::sql_query(
        "UPDATE jobs SET lease_until = now() + make_interval(secs => $2) \
         WHERE leased_by = $1 AND status = 'running' AND id = ANY($3) \
         RETURNING id, attempt, cancel_requested_at IS NOT NULL AS cancel_requested",
    )
    .bind::<sql_types::Text, _>(worker)
    .bind::<sql_types::Float8, _>(lease.as_secs_f64())
    .bind::<sql_types::Array<sql_types::Uuid>, _>(jobs)
    .load(conn)
    .await?)
}

/// Locks the job for the rest of the transaction, if the lease is good for it. Outside of one it only says whether it is.
pub async fn hold(conn: &mut Conn, lease: &Lease) -> Result<(), LeaseError> {
    let held: Option<JobId> = jobs::table
        .find(lease.job)
        .filter(jobs::attempt.eq(lease.attempt).and(jobs::leased_by.eq(&lease.worker)))
        .filter(sql::<sql_types::Bool>(GOOD))
        .for_update()
        .select(jobs::id)
        .first(conn)
        .await
        .optional()?;
    held.map(|_| ()).ok_or(LeaseError::Lost)
}

/// Writes in a job's name: one transaction that holds the lease, and that an error takes back as a whole. Nothing is
/// written, and `writes` is not called, where the lease is lost.
///
/// Renewals wait for the job's row meanwhile, so nothing but queries is awaited in `writes`.
pub async fn fenced<T, E: From<LeaseError>>(
    conn: &mut Conn,
    lease: &Lease,
    writes: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
) -> Result<T, E> {
    // Not `Conn::transaction`: its bounds on a closure cannot be met by one that is passed on.
    AnsiTransactionManager::begin_transaction(conn).await.map_err(LeaseError::from)?;
    let written = match hold(conn, lease).await {
        Ok(()) => writes(conn).await,
        Err(lost) => Err(lost.into()),
    };
    match written {
        Ok(written) => {
            AnsiTransactionManager::commit_transaction(conn).await.map_err(LeaseError::from)?;
            Ok(written)
        }
        Err(error) => {
            // What went wrong first is of more interest. A connection that cannot be rolled back is closed by its pool.
            let _ = AnsiTransactionManager::rollback_transaction(conn).await;
            Err(error)
        }
    }
}

/// Writes an entry of the story, and how far the job is.
pub async fn note(conn: &mut Conn, lease: &Lease, event: &NewJobEvent<'_>) -> Result<(), LeaseError> {
    fenced(conn, lease, async |conn| {
        if let Some(progress) = event.progress {
            diesel::update(jobs::table.find(lease.job))
                .set((jobs::progress.eq(progress), event.step.map(|step| jobs::step.eq(step))))
                .execute(conn)
                .await?;
        }
        Ok(job_event::insert(conn, event).await?)
    })
    .await
}

/// Decides that the job can only end in one way; from now on its steps are undone. The first decision stands.
pub async fn begin_undo(
    conn: &mut Conn,
    lease: &Lease,
    end: Unwinding,
    error: Option<Fault<'_>>,
) -> Result<(), LeaseError> {
    fenced(conn, lease, async |conn| {
        diesel::update(jobs::table.find(lease.job).filter(jobs::unwinding_to.is_null()))
            .set((
                jobs::unwinding_to.eq(end),
                error.map(|e| (jobs::error_code.eq(e.code), jobs::error_message.eq(e.message))),
            ))
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

/// Ends the job. Call it in the transaction that writes what the end means for the instance.
pub async fn finish(conn: &mut Conn, lease: &Lease, status: JobStatus, message: &str) -> Result<(), LeaseError> {
    hold(conn, lease).await?;
    diesel::update(jobs::table.find(lease.job))
        .set((
            jobs::status.eq(status),
            jobs::leased_by.eq(None::<String>),
            jobs::lease_until.eq(None::<chrono::DateTime<chrono::Utc>>),
            jobs::finished_at.eq(now),
            (status == JobStatus::Succeeded).then_some((
                jobs::progress.eq(100),
                jobs::error_code.eq(None::<String>),
                jobs::error_message.eq(None::<String>),
            )),
        ))
        .execute(conn)
        .await?;
    Ok(job_event::insert(conn, &NewJobEvent::new(lease.job, lease.attempt, JobEventKind::Finished, message)).await?)
}

/// A job that a statement about many was for.
#[derive(QueryableByName)]
struct Concerned {
    #[diesel(sql_type = sql_types::Uuid)]
    id: JobId,
}

/// Ends jobs of this worker that concern no instance as succeeded, each if its lease (job and attempt) is good; returns
/// those it ended.
pub async fn succeed_many(conn: &mut Conn, worker: &str, leases: &[(JobId, i64)]) -> Result<Vec<JobId>, DbError> {
    let (ids, attempts): (Vec<JobId>, Vec<i64>) = leases.iter().copied().unzip();
    let ended: Vec<Concerned> = diesel::sql_query(format!(
        "WITH ended AS ( \
           UPDATE jobs SET status = 'succeeded', leased_by = NULL, lease_until = NULL, finished_at = now(), \
             progress = 100, error_code = NULL, error_message = NULL \
           FROM unnest($1, $2) AS mine (id, attempt) \
           WHERE jobs.id = mine.id AND jobs.attempt = mine.attempt AND jobs.leased_by = $3 \
             AND {GOOD} \
           RETURNING jobs.id, jobs.attempt), \
         noted AS ( \
           INSERT INTO job_events (job_id, attempt, kind, message) SELECT id, attempt, 'finished', 'Done' FROM ended) \
         SELECT id FROM ended",
    ))
    .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
    .bind::<sql_types::Array<sql_types::Int8>, _>(attempts)
    .bind::<sql_types::Text, _>(worker)
    .load(conn)
    .await?;
    Ok(ended.into_iter().map(|row| row.id).collect())
}

/// Gives the job back to its queue after an error, to be tried again after `delay`.
pub async fn retry(conn: &mut Conn, lease: &Lease, delay: Duration, error: Fault<'_>) -> Result<(), LeaseError> {
    let message = format!("Trying again in {:.1} s: {}", delay.as_secs_f64(), error.message);
    fenced(conn, lease, async |conn| {
        diesel::sql_query(
            "UPDATE jobs SET status = 'queued', leased_by = NULL, lease_until = NULL, failures = failures + 1, \
               run_at = now() + make_interval(secs => $2), error_code = $3, error_message = $4 WHERE id = $1",
        )
        .bind::<sql_types::Uuid, _>(lease.job)
        .bind::<sql_types::Float8, _>(delay.as_secs_f64())
        .bind::<sql_types::Text, _>(error.code)
        .bind::<sql_types::Text, _>(error.message)
        .execute(conn)
        .await?;
        Ok(job_event::insert(conn, &NewJobEvent::new(lease.job, lease.attempt, JobEventKind::Retry, &message)).await?)
    })
    .await
}

/// Gives the job back to its queue, due at once and without blame: the worker is about to end.
pub async fn hand_back(conn: &mut Conn, lease: &Lease) -> Result<(), LeaseError> {
    fenced(conn, lease, async |conn| {
        diesel::update(jobs::table.find(lease.job))
            .set((
                jobs::status.eq(JobStatus::Queued),
                jobs::leased_by.eq(None::<String>),
                jobs::lease_until.eq(None::<chrono::DateTime<chrono::Utc>>),
                jobs::run_at.eq(now),
            ))
            .execute(conn)
            .await?;
        let event = NewJobEvent::new(
            lease.job,
            lease.attempt,
            JobEventKind::HandedBack,
            "Handed back, the worker is shutting down",
        );
        Ok(job_event::insert(conn, &event).await?)
    })
    .await
}

/// Gives back a job whose lease ran out because it could not be renewed, due at once and without blame: the worker lives,
/// and has stopped. False: somebody else has the job by now, or it has ended.
pub async fn give_back_late(conn: &mut Conn, lease: &Lease) -> Result<bool, DbError> {
    conn.transaction(async |conn| {
        let given = diesel::update(jobs::table.find(lease.job))
            .filter(jobs::attempt.eq(lease.attempt).and(jobs::leased_by.eq(&lease.worker)))
            .filter(jobs::status.eq(JobStatus::Running))
            .set((
                jobs::status.eq(JobStatus::Queued),
                jobs::leased_by.eq(None::<String>),
                jobs::lease_until.eq(None::<chrono::DateTime<chrono::Utc>>),
                jobs::run_at.eq(now),
            ))
            .execute(conn)
            .await?;
        if given == 0 {
            return Ok(false);
        }
        let message = "Handed back, the database did not answer for longer than the lease";
        let event = NewJobEvent::new(lease.job, lease.attempt, JobEventKind::HandedBack, message);
        job_event::insert(conn, &event).await?;
        Ok(true)
    })
    .await
}

/// Gives back the jobs of a queue that were claimed in the name of this worker and that it never heard of, because the claim's
/// answer was lost on its way or could not be read; due after `delay` and without blame. `held` are the claims (job and
/// attempt) that it did hear of.
///
/// Not while a claim of the queue is under way, whose jobs nobody has heard of yet.
pub async fn give_back_lost_claims(
    conn: &mut Conn,
    queue: Queue,
    worker: &str,
    held: &[(JobId, i64)],
    delay: Duration,
) -> Result<Vec<JobId>, DbError> {
    let (ids, attempts): (Vec<JobId>, Vec<i64>) = held.iter().copied().unzip();
    let given: Vec<Concerned> = diesel::sql_query(
        "WITH given AS ( \
           UPDATE jobs SET status = 'queued', leased_by = NULL, lease_until = NULL, \
             run_at = now() + make_interval(secs => $5) \
           WHERE queue = $1 AND leased_by = $2 AND status = 'running' \
             AND NOT EXISTS (SELECT 1 FROM unnest($3, $4) AS held (id, attempt) \
                  WHERE held.id = jobs.id AND held.attempt = jobs.attempt) \
           RETURNING id, attempt), \
         noted AS ( \
           INSERT INTO job_events (job_id, attempt, kind, message) \
           SELECT id, attempt, 'handed_back', 'Handed back, the answer to the claim was lost or could not be read' FROM given) \
         SELECT id FROM given",
    )
    .bind::<sql_types::Text, _>(queue)
    .bind::<sql_types::Text, _>(worker)
    .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
    .bind::<sql_types::Array<sql_types::Int8>, _>(attempts)
    .bind::<sql_types::Float8, _>(delay.as_secs_f64())
    .load(conn)
    .await?;
    Ok(given.into_iter().map(|row| row.id).collect())
}

/// A job whose worker vanished.
#[derive(Debug, Clone, QueryableByName)]
pub struct Reaped {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: JobId,
    #[diesel(sql_type = sql_types::Text)]
    pub queue: Queue,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub instance_id: Option<InstanceId>,
    #[diesel(sql_type = sql_types::Int4)]
    pub crashes: i32,
    #[diesel(sql_type = sql_types::Text)]
    pub worker: String,
}

const POISON_MESSAGE: &str = "The worker died several times while it ran this job, so the job is taken for the cause. \
    An administrator finds the reason in the workers' logs and can retry the job.";

/// Takes back the leases that ran out. The job is queued again; after [`MAX_CRASHES`] crashes only to be undone, and
/// where even that brings workers down it fails as it is.
pub async fn reap(conn: &mut Conn) -> Result<Vec<Reaped>, DbError> {
    conn.transaction(async |conn| {
        let reaped: Vec<Reaped> = diesel::sql_query(
            "WITH lost AS ( \
               SELECT id, leased_by AS worker FROM jobs WHERE status = 'running' AND lease_until < now() \
               ORDER BY lease_until LIMIT 200 FOR UPDATE SKIP LOCKED) \
             UPDATE jobs SET status = 'queued', leased_by = NULL, lease_until = NULL, crashes = crashes + 1, run_at = now(), \
               unwinding_to = CASE WHEN crashes + 1 >= $1 THEN coalesce(unwinding_to, 'failed') ELSE unwinding_to END, \
               error_code = CASE WHEN crashes + 1 >= $1 THEN 'worker_crashed' ELSE error_code END, \
               error_message = CASE WHEN crashes + 1 >= $1 THEN $2 ELSE error_message END \
             FROM lost WHERE jobs.id = lost.id \
             RETURNING jobs.id, jobs.queue, jobs.instance_id, jobs.crashes, lost.worker",
        )
        .bind::<sql_types::Int4, _>(MAX_CRASHES)
        .bind::<sql_types::Text, _>(POISON_MESSAGE)
        .load(conn)
        .await?;
        for job in &reaped {
            let message = format!("Worker {} vanished", job.worker);
            job_event::insert(conn, &NewJobEvent::new(job.id, 0, JobEventKind::LeaseLost, &message)).await?;
            if job.crashes >= 2 * MAX_CRASHES {
                give_up(conn, job).await?;
            }
        }
        Ok(reaped)
    })
    .await
}

async fn give_up(conn: &mut Conn, job: &Reaped) -> Result<(), DbError> {
    diesel::update(jobs::table.find(job.id))
        .set((jobs::status.eq(JobStatus::Failed), jobs::finished_at.eq(now)))
        .execute(conn)
        .await?;
    job_event::insert(conn, &NewJobEvent::new(job.id, 0, JobEventKind::Finished, POISON_MESSAGE)).await?;
    if snapshot::is_under_way(conn, job.id).await? {
        undo::leave_undone(conn, job.id, job.instance_id.as_ref(), POISON_MESSAGE).await?;
    } else if let Some(id) = &job.instance_id {
        let fault = Fault { code: "worker_crashed", message: POISON_MESSAGE };
        instance::set_status(conn, id, InstanceStatus::Error, Some(fault)).await?;
    }
    Ok(())
}
