use axum::http::StatusCode;
use clawdeploy_shared::{
    db::{
        Conn, Scope, instance,
        job::{self, Job},
        lease::UNDO_FAILED,
        rollout,
        snapshot::{self, Snapshot},
    },
    ids::{InstanceId, JobId},
    instance::DesiredState,
    job::{JobKind, JobStatus},
};
use serde_json::json;

use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    capacity,
    controllers::{
        admin::rollouts::start::excluded,
        instances::refuse_stuck,
        jobs::{JobPath, is_start},
    },
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, Path},
    middleware::RequestContext,
    quota,
    state::AppState,
    views::job::JobView,
};

/// Retries a failed or cancelled job
///
/// A job whose undo failed (`undo_failed`) continues its undo, and then ends as failed or cancelled.
#[utoipa::path(
    post, path = "/api/admin/jobs/{id}/retry", tag = "admin", params(JobPath),
    responses((status = ACCEPTED, body = JobView)),
)]
pub async fn retry_job(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<JobPath>,
) -> AppResult<(StatusCode, Json<JobView>)> {
    let state = app.clone();
    let job = app
        .transaction(Scope::Everything, async move |conn| in_transaction(conn, &who, &context, path.id, &state).await)
        .await?;
    app.doorbell.ring(job.queue, job.id);
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: JobId,
    app: &AppState,
) -> AppResult<Job> {
    let dead = job::find_for_update(conn, id).await?.ok_or_else(|| AppError::not_found("job"))?;
    if !matches!(dead.status, JobStatus::Failed | JobStatus::Cancelled) {
        return Err(not_retryable(dead.status));
    }
    if matches!(dead.kind, JobKind::WarmUp | JobKind::Discard) {
        let detail = "Jobs of the warm pool are not retried: workers make another instance by themselves.";
        return Err(AppError::new(ErrorCode::JobNotRetryable, detail));
    }
    let undo = is_to_be_undone(conn, &dead).await?;
    if let Some(instance) = &dead.instance_id {
        make_way(conn, &dead, instance, undo, app).await?;
    }
    if dead.kind == JobKind::UpdateAll && !undo {
        rollout::reset(conn, id, &excluded(&dead)).await?;
    }
    let job = if undo { job::retry_undo(conn, id).await? } else { job::retry(conn, id).await? };
    let job = job.ok_or_else(|| not_retryable(dead.status))?;
    Entry::new("job.retry", Target::Job(id))
        .owned_by(job.owner_id)
        .detail(json!({ "kind": job.kind, "instanceId": job.instance_id, "undo": undo }))
        .by(conn, who, context)
        .await?;
    Ok(job)
}

/// Whether the retry continues the undo of the job, instead of starting the job again. An undo is not continued after
/// newer jobs on the instance, because it would revert their results. A change that is not completely undone is always
/// undone: it blocks other jobs on the instance.
async fn is_to_be_undone(conn: &mut Conn, dead: &Job) -> AppResult<bool> {
    if dead.unwinding_to.is_none() || dead.status != JobStatus::Failed {
        return Ok(false);
    }
    if snapshot::is_under_way(conn, dead.id).await? {
        return Ok(true);
    }
    match &dead.instance_id {
        _ if dead.error_code.as_deref() != Some(UNDO_FAILED) => Ok(false),
        Some(instance) => Ok(job::is_newest_on(conn, instance, dead.seq).await?),
        None => Ok(true),
    }
}

fn not_retryable(status: JobStatus) -> AppError {
    let detail = format!("The job is {status}. Only a failed or cancelled job can be retried.");
    AppError::new(ErrorCode::JobNotRetryable, detail)
}

/// The snapshot that a rollback restores, if it is still kept.
async fn kept_for(conn: &mut Conn, rollback: &Job) -> AppResult<Option<Snapshot>> {
    match rollback.payload["snapshotId"].as_str().and_then(|id| id.parse().ok()) {
        Some(id) => Ok(snapshot::find_kept(conn, id).await?),
        None => Ok(None),
    }
}

/// Checks that the job can run on its instance, and sets the desired state to the result of the job.
async fn make_way(conn: &mut Conn, dead: &Job, id: &InstanceId, undo: bool, app: &AppState) -> AppResult<()> {
    let Some(instance) = instance::find_for_update(conn, Scope::Everything, id).await? else {
        return Err(AppError::new(ErrorCode::InstanceGone, "The job's instance no longer exists."));
    };
    if let Some(open) = job::open_on(conn, id).await?.into_iter().next() {
        return Err(AppError::job_in_progress(open.into()));
    }
    let desired = match dead.kind {
        JobKind::Delete => DesiredState::Deleted,
        _ if instance.desired_state == DesiredState::Deleted => {
            let detail = "The instance is being deleted, so no other job can run on it. Retry the delete job.";
            return Err(AppError::new(ErrorCode::WrongStatus, detail));
        }
        _ if undo => return Ok(()),
        JobKind::ApplySettings if is_start(dead) => DesiredState::Running,
        JobKind::Provision | JobKind::Start | JobKind::Restart => DesiredState::Running,
        JobKind::Stop => DesiredState::Stopped,
        _ => instance.desired_state,
    };
    if matches!(dead.kind, JobKind::Stop | JobKind::Delete) && instance.desired_state != DesiredState::Deleted {
        job::note_desired_before(conn, dead.id, instance.desired_state).await?;
    }
    if dead.kind != JobKind::Delete {
        refuse_stuck(conn, id).await?;
    }
    if dead.kind == JobKind::Rollback
        && let Some(kept) = kept_for(conn, dead).await?
    {
        quota::check_rollback(conn, &app.quotas, &instance, &kept).await?;
        capacity::check_rollback(conn, &app.capacity, &instance, &kept).await?;
    }
    if desired == DesiredState::Running {
        capacity::check_start(conn, &app.capacity, &instance).await?;
    }
    if desired != instance.desired_state {
        instance::set_desired_state(conn, id, desired).await?;
    }
    Ok(())
}
