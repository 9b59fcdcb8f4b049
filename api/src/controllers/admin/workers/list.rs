use clawdeploy_shared::db::worker;

use crate::{auth::Admin, error::AppResult, extract::Json, page::Page, state::AppState, views::worker::WorkerView};

/// Lists the workers, newest first
///
/// A dead worker is listed for a day after its last heartbeat.
#[utoipa::path(get, path = "/api/admin/workers", tag = "admin", responses((status = OK, body = Page<WorkerView>)))]
pub async fn list_workers(app: AppState, _: Admin) -> AppResult<Json<Page<WorkerView>>> {
    let mut conn = app.db.conn().await?;
    let all = worker::list(&mut conn).await?;
    Ok(Json(Page::whole(all.into_iter().map(WorkerView::new).collect())))
}
