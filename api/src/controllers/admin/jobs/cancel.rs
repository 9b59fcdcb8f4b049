use axum::http::StatusCode;

use crate::{
    auth::Admin,
    controllers::jobs::{JobPath, cancel::cancel},
    error::AppResult,
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
    views::job::JobView,
};

/// Cancels any job
#[utoipa::path(
    post, path = "/api/admin/jobs/{id}/cancel", tag = "admin", params(JobPath),
    responses((status = ACCEPTED, body = JobView)),
)]
pub async fn cancel_any_job(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<JobPath>,
) -> AppResult<(StatusCode, Json<JobView>)> {
    let job = cancel(&app, who, context, path.id).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}
