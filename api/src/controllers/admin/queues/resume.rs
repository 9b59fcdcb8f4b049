use super::{QueuePath, pause::set_paused};
use crate::{
    auth::Admin,
    error::AppResult,
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
    views::queue::QueueView,
};

/// Resumes a paused queue
///
/// Workers notice within a second. Resuming a queue that is not paused has no effect.
#[utoipa::path(
    post, path = "/api/admin/queues/{queue}/resume", tag = "admin", params(QueuePath),
    responses((status = OK, body = QueueView)),
)]
pub async fn resume_queue(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<QueuePath>,
) -> AppResult<Json<QueueView>> {
    set_paused(&app, who, context, &path, false).await
}
