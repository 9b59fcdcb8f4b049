//! Limits how often an undo is tried, and ends jobs whose undo is given up.

use diesel::{dsl::sql, prelude::*, sql_types};
use diesel_async::RunQueryDsl;

use super::{Lease, LeaseError, fenced, finish};
use crate::{
    db::{Conn, DbError, instance, instance::Fault, job_event, job_event::NewJobEvent, schema::jobs, snapshot},
    ids::{InstanceId, JobId},
    instance::InstanceStatus,
    job::{JobEventKind, JobStatus},
};

/// How often an undo may fail before it is given up.
const MAX_UNDO_FAILURES: i32 = 15;

/// How long an undo is retried while a service is unreachable, in hours.
const UNDO_PATIENCE_HOURS: i32 = 24;

/// Code of a job whose undo was given up, and of its instance.
pub const UNDO_FAILED: &str = "undo_failed";

/// Requeues the job after its undo failed. Its original error stays in the row. False: it was tried often or long
/// enough, and nothing was written.
///
/// With `unreachable`, a service was down: the number of tries is not limited, and the delay grows to a minute.
pub async fn retry_undo(conn: &mut Conn, lease: &Lease, unreachable: bool, message: &str) -> Result<bool, LeaseError> {
    fenced(conn, lease, async |conn| {
        let given = diesel::sql_query(
            "UPDATE jobs SET status = 'queued', leased_by = NULL, lease_until = NULL, \
               undo = jsonb_build_object('failures', past.failures + $2, 'since', past.since), \
               run_at = now() + least('1 minute'::interval, '2 seconds'::interval + (now() - past.since) / 4) \
             FROM (SELECT coalesce((undo->>'failures')::integer, 0) AS failures, \
                     coalesce((undo->>'since')::timestamptz, now()) AS since FROM jobs WHERE id = $1) past \
             WHERE id = $1 AND past.failures + $2 < $3 AND past.since > now() - make_interval(hours => $4)",
        )
        .bind::<sql_types::Uuid, _>(lease.job)
        .bind::<sql_types::Int4, _>(i32::from(!unreachable))
        .bind::<sql_types::Int4, _>(MAX_UNDO_FAILURES)
        .bind::<sql_types::Int4, _>(UNDO_PATIENCE_HOURS)
        .execute(conn)
        .await?;
        if given == 0 {
            return Ok(false);
        }
        let message = format!("Retrying the undo: {message}");
        job_event::insert(conn, &NewJobEvent::new(lease.job, lease.attempt, JobEventKind::Retry, &message)).await?;
        Ok(true)
    })
    .await
}

/// Ends a job whose undo is given up. Nothing more is undone and nothing is deleted until an administrator retries the
/// job.
pub async fn give_up_undo(
    conn: &mut Conn,
    lease: &Lease,
    instance: Option<&InstanceId>,
    reason: &str,
) -> Result<(), LeaseError> {
    fenced(conn, lease, async |conn| {
        let message = leave_undone(conn, lease.job, instance, reason).await?;
        finish(conn, lease, JobStatus::Failed, &message).await
    })
    .await
}

/// Records that a job was not undone, with its original error. Returns the message for people.
pub(super) async fn leave_undone(
    conn: &mut Conn,
    job: JobId,
    instance: Option<&InstanceId>,
    reason: &str,
) -> Result<String, DbError> {
    let cause: Option<String> = jobs::table.find(job).select(jobs::error_message).first(conn).await?;
    let cause = cause.unwrap_or_else(|| "it was cancelled".into());
    let changed = snapshot::note_stuck(conn, job).await?;
    let kept = if changed { " The snapshot from before the change is still there." } else { "" };
    let message = format!(
        "The job could not be undone: {reason}{kept} An administrator must find out why and then retry the job \
         (POST /api/admin/jobs/{job}/retry), which continues the undo. Why it was undone: {cause}"
    );
    diesel::update(jobs::table.find(job))
        .set((
            jobs::undo.eq(sql::<sql_types::Nullable<sql_types::Jsonb>>(
                "coalesce(undo, '{}') || jsonb_build_object('code', error_code, 'message', error_message)",
            )),
            jobs::error_code.eq(UNDO_FAILED),
            jobs::error_message.eq(&message),
        ))
        .execute(conn)
        .await?;
    if let Some(id) = instance {
        let fault = Fault { code: UNDO_FAILED, message: &message };
        instance::set_status(conn, id, InstanceStatus::Error, Some(fault)).await?;
    }
    Ok(message)
}
