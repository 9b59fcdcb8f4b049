//! Claims jobs and writes their progress and results.
//!
//! A worker owns a job from its claim, an UPDATE that moves it `queued → running`, until its lease expires by the
//! database's clock. Every write in the job's name runs in [`fenced`], which fails once the job was claimed again (the
//! attempt is the fencing token) or the lease has expired. A worker that sees this stops touching the instance.

use std::time::Duration;

use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types,
};
use diesel_async::{AnsiTransactionManager, AsyncConnection as _, RunQueryDsl, TransactionManager as _};

pub(super) use self::claim::claimable;
pub use self::{
    claim::{Claimed, claim},
    undo::{UNDO_FAILED, give_up_undo, retry_undo},
};
use super::{Conn, DbError, instance, instance::Fault, job_event, job_event::NewJobEvent, schema::jobs, snapshot};
use crate::{
    ids::{InstanceId, JobId},
    instance::InstanceStatus,
    job::{JobEventKind, JobStatus, MAX_CRASHES, Queue, UndoOutcome},
};

mod claim;
mod undo;

/// The right to act in a job's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub job: JobId,
    /// Number of the claim: the fencing token.
    pub attempt: i64,
    /// The worker that made the claim.
    pub worker: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another worker owns the job, or may at any moment: stop.
    #[error("the lease on the job was lost")]
    Lost,
    #[error("a database query failed")]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for LeaseError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// The condition for a good lease: it has not expired. Only a running job has one (`jobs_lease_while_running`).
///
/// Statements about known jobs do not ask for the status. Postgres could then look for the jobs among all that run, in an
/// index that also still has those that have just ended, instead of by their ids.
const GOOD: &str = "jobs.lease_until > now()";

/// The result of a renewal.
#[derive(Debug, Clone, QueryableByName)]
pub struct Renewed {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: JobId,
    #[diesel(sql_type = sql_types::Int8)]
    pub attempt: i64,
    #[diesel(sql_type = sql_types::Bool)]
    pub cancel_requested: bool,
}

/// Renews the leases of a worker on `jobs`. Jobs missing from the result are lost.
///
/// Also renews an expired lease that nobody has taken back: the database stood still for a while, and that is no
/// worker's fault.
///
/// Only renews what the worker still runs. Otherwise a job that it abandoned, because it could not record the end of
/// the attempt, would stay running for as long as the worker lives.
pub async fn renew(conn: &mut Conn, worker: &str, jobs: &[JobId], lease: Duration) -> Result<Vec<Renewed>, DbError> {
    Ok(diesel::sql_query(
        "UPDATE jobs SET lease_until = now() + make_interval(secs => $2) \
         WHERE leased_by = $1 AND lease_until IS NOT NULL AND id = ANY($3) \
         RETURNING id, attempt, cancel_requested_at IS NOT NULL AS cancel_requested",
    )
    .bind::<sql_types::Text, _>(worker)
    .bind::<sql_types::Float8, _>(lease.as_secs_f64())
    .bind::<sql_types::Array<sql_types::Uuid>, _>(jobs)
    .load(conn)
    .await?)
}

/// Locks the job for the rest of the transaction if the lease is good. Outside of a transaction it only checks the
/// lease.
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

/// Runs `writes` in one transaction that holds the lease. An error rolls back all of it. If the lease is lost, `writes`
/// is not called.
///
/// Renewals wait for the job's row in the meantime, so `writes` must await nothing but queries.
pub async fn fenced<T, E: From<LeaseError>>(
    conn: &mut Conn,
    lease: &Lease,
    writes: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
) -> Result<T, E> {
    // Not `Conn::transaction`: a passed-on closure cannot meet its bounds.
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
            // The first error matters more. The pool closes a connection that cannot be rolled back.
            let _ = AnsiTransactionManager::rollback_transaction(conn).await;
            Err(error)
        }
    }
}

/// Writes an event and the job's progress.
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

/// Decides how the job will end. From now on its steps are undone. The first decision stands.
pub async fn begin_undo(
    conn: &mut Conn,
    lease: &Lease,
    end: UndoOutcome,
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

/// Ends the job. Call it in the transaction that changes the instance accordingly.
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

/// A job affected by a statement about many.
#[derive(QueryableByName)]
struct Concerned {
    #[diesel(sql_type = sql_types::Uuid)]
    id: JobId,
}

/// Ends jobs that change no instance as succeeded, each if its lease (job and attempt) is good. Returns the ended ones.
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

/// Requeues the job after an error, due after `delay`.
pub async fn retry(conn: &mut Conn, lease: &Lease, delay: Duration, error: Fault<'_>) -> Result<(), LeaseError> {
    let message = format!("Retrying in {:.1} s: {}", delay.as_secs_f64(), error.message);
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

/// Requeues the job, due at once and without counting a failure, because the worker drains.
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
            "Handed back because the worker is shutting down",
        );
        Ok(job_event::insert(conn, &event).await?)
    })
    .await
}

/// Requeues a job whose lease expired because it could not be renewed, due at once and without counting a failure: the
/// worker is alive and has stopped the job. False: another worker has the job, or it has ended.
pub async fn give_back_late(conn: &mut Conn, lease: &Lease) -> Result<bool, DbError> {
    conn.transaction(async |conn| {
        let given = diesel::update(jobs::table.find(lease.job))
            .filter(jobs::attempt.eq(lease.attempt).and(jobs::leased_by.eq(&lease.worker)))
            .filter(jobs::lease_until.is_not_null())
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
        let message = "Handed back because its lease was not renewed in time";
        let event = NewJobEvent::new(lease.job, lease.attempt, JobEventKind::HandedBack, message);
        job_event::insert(conn, &event).await?;
        Ok(true)
    })
    .await
}

/// Requeues the jobs of lost claims: those of a queue that run in this worker's name but that it does not know, because
/// the claim's response was lost or could not be read. They are due after `delay` and count no failure. `held` are the
/// claims (job and attempt) that the worker knows.
///
/// Must not run while a claim of the queue is under way, whose jobs are not known yet.
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
           SELECT id, attempt, 'handed_back', 'Handed back because the response to the claim was lost or could not be read' FROM given) \
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

const POISON_MESSAGE: &str = "The worker crashed several times while it ran this job, so the job is assumed to be \
                              the cause. An administrator must find the reason in the workers' logs and can then \
                              retry the job.";

/// Takes back expired leases and requeues their jobs. After [`MAX_CRASHES`] crashes a job is only undone, and if the
/// undo crashes workers too, it fails as it is.
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
