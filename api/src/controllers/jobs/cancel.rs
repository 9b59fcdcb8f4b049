use axum::http::StatusCode;
use clawdeploy_shared::{
    db::{
        Conn, Scope,
        instance::{self, Fault, Instance},
        job::{self, Job},
    },
    ids::JobId,
    instance::{DesiredState, InstanceStatus},
    job::{JobKind, JobStatus},
};
use serde_json::json;

use super::JobPath;
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
    views::job::JobView,
};

/// Cancels a job
///
/// A job that has not started ends at once. Any other job stops at its next step, and its steps are undone. A deletion
/// that is running cannot be cancelled.
#[utoipa::path(
    post, path = "/api/jobs/{id}/cancel", tag = "jobs", params(JobPath),
    responses((status = ACCEPTED, body = JobView)),
)]
pub async fn cancel_job(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<JobPath>,
) -> AppResult<(StatusCode, Json<JobView>)> {
    let job = cancel(&app, who, context, path.id).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// Cancels a job that the person may see.
pub async fn cancel(app: &AppState, who: Principal, context: RequestContext, id: JobId) -> AppResult<Job> {
    let job = app.transaction(who.scope(), async move |conn| in_transaction(conn, &who, &context, id).await).await?;
    // The job waited for a retry and is now due, to undo its steps.
    if job.status == JobStatus::Queued {
        app.doorbell.ring(job.queue, job.id);
    }
    Ok(job)
}

async fn in_transaction(conn: &mut Conn, who: &Principal, context: &RequestContext, id: JobId) -> AppResult<Job> {
    let not_found = || AppError::not_found("job");
    // Access is checked before the job is locked. While it is locked, no worker can claim it.
    job::find(conn, who.scope(), id).await?.ok_or_else(not_found)?;
    let job = job::find_for_update(conn, id).await?.ok_or_else(not_found)?;
    if job.cancel_requested_at.is_some() && !job.status.is_terminal() {
        return Ok(job);
    }
    if job.kind == JobKind::Unknown {
        let detail = "This version of ClawDeploy does not know the job's kind. Try again after the upgrade.";
        return Err(AppError::new(ErrorCode::NotCancellable, detail));
    }
    if job.kind == JobKind::Delete && job.status == JobStatus::Running {
        return Err(AppError::new(ErrorCode::NotCancellable, "A deletion that has begun cannot be cancelled."));
    }
    let Some(asked) = job::request_cancel(conn, id).await? else {
        return Err(AppError::new(ErrorCode::JobFinished, "The job has already ended."));
    };
    settle(conn, &asked).await?;
    Entry::new("job.cancel", Target::Job(id))
        .owned_by(job.owner_id)
        .detail(json!({ "kind": job.kind, "instanceId": job.instance_id }))
        .by(conn, who, context)
        .await?;
    Ok(asked)
}

/// Whether a settings change was requested as the start of an instance with pending settings.
pub fn is_start(job: &Job) -> bool {
    job.kind == JobKind::ApplySettings && job.payload["start"] == true
}

/// The desired state of an instance after a job on it is cancelled: the state from before the job. With the present
/// one, the reconciler would still establish the result of the job. `None`: it does not change.
pub fn desired_without(job: &Job, instance: &Instance) -> Option<DesiredState> {
    let deleted = instance.desired_state == DesiredState::Deleted;
    let before = job.desired_before().filter(|before| *before != DesiredState::Deleted);
    match job.kind {
        // The undo of these jobs leaves the instance stopped, whatever its desired state was.
        JobKind::Provision | JobKind::Start if !deleted => Some(DesiredState::Stopped),
        JobKind::ApplySettings if !deleted && is_start(job) => Some(DesiredState::Stopped),
        // A job from an older version has no record of it. Jobs of the system do not change the desired state.
        JobKind::Stop if !deleted => before.or(job.requested_by.map(|_| DesiredState::Running)),
        JobKind::Delete if instance.status == InstanceStatus::Running => before.or(Some(DesiredState::Running)),
        JobKind::Delete => before.or(Some(DesiredState::Stopped)),
        _ => None,
    }
}

/// Restores the desired state of a cancelled job's instance. An instance whose provisioning never began gets the status
/// `error`.
///
/// The job is already locked. Its instance is locked after it, as workers do.
async fn settle(conn: &mut Conn, job: &Job) -> AppResult<()> {
    let Some(id) = &job.instance_id else { return Ok(()) };
    let Some(instance) = instance::find_for_update(conn, Scope::Everything, id).await? else { return Ok(()) };
    if let Some(desired) = desired_without(job, &instance) {
        instance::set_desired_state(conn, id, desired).await?;
    }
    if job.status == JobStatus::Cancelled && instance.status == InstanceStatus::Pending {
        let message = "Provisioning was cancelled before it started. Start the instance to try again, or delete it.";
        instance::set_status(conn, id, InstanceStatus::Error, Some(Fault { code: "cancelled", message })).await?;
    }
    Ok(())
}
