use axum::http::StatusCode;
use clawdeploy_shared::db::{Conn, Scope, worker};

use super::WorkerPath;
use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    error::{AppError, AppResult},
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
    views::worker::WorkerView,
};

/// Drains a worker: it takes no new jobs and exits when its jobs have ended
///
/// The worker sees the request at its next heartbeat, within seconds. A repeated request has no effect.
#[utoipa::path(
    post, path = "/api/admin/workers/{id}/drain", tag = "admin", params(WorkerPath),
    responses((status = ACCEPTED, body = WorkerView)),
)]
pub async fn drain_worker(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<WorkerPath>,
) -> AppResult<(StatusCode, Json<WorkerView>)> {
    // A path can contain NUL, which Postgres does not accept.
    if path.id.contains(char::is_control) {
        return Err(AppError::not_found("worker"));
    }
    let view = app
        .transaction(Scope::Everything, async move |conn| in_transaction(conn, &who, &context, &path.id).await)
        .await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

async fn in_transaction(conn: &mut Conn, who: &Principal, context: &RequestContext, id: &str) -> AppResult<WorkerView> {
    let not_found = || AppError::not_found("worker");
    let found = worker::find(conn, id).await?.ok_or_else(not_found)?;
    if found.0.drain_requested_at.is_some() {
        return Ok(WorkerView::new(found));
    }
    // The worker may have exited in the meantime.
    if !worker::request_drain(conn, id).await? {
        return Err(not_found());
    }
    Entry::new("worker.drain", Target::Worker(id)).by(conn, who, context).await?;
    Ok(WorkerView::new(worker::find(conn, id).await?.ok_or_else(not_found)?))
}
