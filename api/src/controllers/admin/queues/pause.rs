use clawdeploy_shared::{
    db::{Scope, queue_pause},
    job::Queue,
};

use super::QueuePath;
use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    error::{AppError, AppResult},
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
    views::queue::{QueueView, views},
};

/// Pauses a queue
///
/// Running jobs continue. No new job starts until the queue is resumed. Pausing a paused queue has no effect.
#[utoipa::path(
    post, path = "/api/admin/queues/{queue}/pause", tag = "admin", params(QueuePath),
    responses((status = OK, body = QueueView)),
)]
pub async fn pause_queue(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<QueuePath>,
) -> AppResult<Json<QueueView>> {
    set_paused(&app, who, context, &path, true).await
}

/// Pauses or resumes a queue and returns it.
pub(super) async fn set_paused(
    app: &AppState,
    who: Principal,
    context: RequestContext,
    path: &QueuePath,
    paused: bool,
) -> AppResult<Json<QueueView>> {
    let queue: Queue = path.queue.parse().map_err(|_| AppError::not_found("queue"))?;
    app.transaction(Scope::Everything, async move |conn| {
        let (changed, action) = if paused {
            (queue_pause::pause(conn, queue, who.user.id).await?, "queue.pause")
        } else {
            (queue_pause::resume(conn, queue).await?, "queue.resume")
        };
        if changed {
            Entry::new(action, Target::Queue(queue)).by(conn, &who, &context).await?;
        }
        Ok(())
    })
    .await?;
    let all = views(&mut *app.db.conn().await?).await?;
    all.into_iter().find(|view| view.queue == queue).map(Json).ok_or_else(|| AppError::not_found("queue"))
}
