use axum::http::StatusCode;
use clawdeploy_shared::{
    db::{
        Conn, Scope, instance,
        job::{self, Job},
        rollout,
    },
    ids::{InstanceId, JobId},
    instance::DesiredState,
    job::{JobKind, JobStatus},
};
use diesel_async::AsyncConnection as _;
use serde_json::json;

use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    controllers::jobs::{JobPath, JobView},
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
};

/// Puts a job that failed or was cancelled back in its queue
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
    let db = app.db.clone();
    let job = app
        .change(async move {
            let mut conn = db.conn().await?;
            conn.transaction(async |conn| in_transaction(conn, &who, &context, path.id).await).await
        })
        .await?;
    app.doorbell.ring(job.queue, job.id);
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

async fn in_transaction(conn: &mut Conn, who: &Principal, context: &RequestContext, id: JobId) -> AppResult<Job> {
    let dead = job::find(conn, Scope::Everything, id).await?.ok_or_else(|| AppError::not_found("job"))?;
    if !matches!(dead.status, JobStatus::Failed | JobStatus::Cancelled) {
        return Err(not_retryable(dead.status));
    }
    if let Some(instance) = &dead.instance_id {
        make_way(conn, dead.kind, instance).await?;
    }
    if dead.kind == JobKind::UpdateAll {
        rollout::reset(conn, id).await?;
    }
    let job = job::retry(conn, id).await?.ok_or_else(|| not_retryable(dead.status))?;
    Entry::new("job.retry", Target::Job(id))
        .owned_by(job.owner_id)
        .detail(json!({ "kind": job.kind, "instanceId": job.instance_id }))
        .by(conn, who, context)
        .await?;
    Ok(job)
}

fn not_retryable(status: JobStatus) -> AppError {
    let detail = format!("The job is {status}. Only one that failed or was cancelled can be tried again.");
    AppError::new(ErrorCode::JobNotRetryable, detail)
}

/// Whether the job can have its instance, and notes that what it makes of it is wanted again.
async fn make_way(conn: &mut Conn, kind: JobKind, id: &InstanceId) -> AppResult<()> {
    let Some(instance) = instance::find_for_update(conn, Scope::Everything, id).await? else {
        return Err(AppError::new(ErrorCode::InstanceGone, "The instance of this job is gone."));
    };
    if let Some(open) = job::open_on(conn, id).await?.into_iter().next() {
        return Err(AppError::job_in_progress(open.into()));
    }
    let desired = match kind {
        JobKind::Delete => DesiredState::Deleted,
        _ if instance.desired_state == DesiredState::Deleted => {
            let detail = "The instance is to be deleted, so nothing else can be done to it. Retry the delete job.";
            return Err(AppError::new(ErrorCode::WrongStatus, detail));
        }
        JobKind::Provision | JobKind::Start | JobKind::Restart => DesiredState::Running,
        JobKind::Stop => DesiredState::Stopped,
        _ => instance.desired_state,
    };
    Ok(instance::set_desired_state(conn, id, desired).await?)
}
