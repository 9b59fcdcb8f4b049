use axum::http::StatusCode;
use clawdeploy_shared::{
    db::{Conn, Scope, job, snapshot},
    ids::JobId,
    job::JobStatus,
};
use serde_json::json;

use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    controllers::jobs::JobPath,
    error::{AppError, AppResult, ErrorCode},
    extract::Path,
    middleware::RequestContext,
    state::AppState,
};

/// Deletes a failed or cancelled job and its events
///
/// Its instance does not change. The audit log keeps a record of the job. Refused while an open job depends on it, or
/// while its change has not been undone.
#[utoipa::path(
    delete, path = "/api/admin/jobs/{id}", tag = "admin", params(JobPath), responses((status = NO_CONTENT)),
)]
pub async fn drop_job(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<JobPath>,
) -> AppResult<StatusCode> {
    app.transaction(Scope::Everything, async move |conn| in_transaction(conn, &who, &context, path.id).await).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn in_transaction(conn: &mut Conn, who: &Principal, context: &RequestContext, id: JobId) -> AppResult<()> {
    // While the job is locked, nothing can retry it and no new job can depend on it.
    let job = job::find_for_update(conn, id).await?.ok_or_else(|| AppError::not_found("job"))?;
    if let Some(dependent) = job::open_dependent(conn, id).await? {
        // Without this row, the dependent job could not see that its dependency did not succeed.
        let detail = format!(
            "A {} job that depends on this job is {}. Wait until it has ended.",
            dependent.kind, dependent.status
        );
        return Err(AppError::new(ErrorCode::JobInProgress, detail).with_job(dependent.into()));
    }
    if snapshot::is_under_way(conn, id).await? {
        let detail = "The job's change has not been undone, and only this job can undo it. Retry the job.";
        return Err(AppError::new(ErrorCode::UndoFailed, detail));
    }
    if !job::delete_dead(conn, id).await? {
        return Err(not_dead(job.status));
    }
    let was =
        json!({ "kind": job.kind, "status": job.status, "instanceId": job.instance_id, "errorCode": job.error_code });
    Ok(Entry::new("job.drop", Target::Job(id)).owned_by(job.owner_id).detail(was).by(conn, who, context).await?)
}

fn not_dead(status: JobStatus) -> AppError {
    const ONLY: &str = "Only a failed or cancelled job can be deleted";
    let detail = match status {
        JobStatus::Queued | JobStatus::Running => format!("{ONLY}. This job is {status}: cancel it first."),
        _ => format!("{ONLY}. This job {status}."),
    };
    AppError::new(ErrorCode::JobNotDead, detail)
}
