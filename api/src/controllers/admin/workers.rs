use clawdeploy_shared::db::worker::{self, Worker};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Admin, error::AppResult, extract::Json, page::Page, state::AppState};

/// A worker process, and whether it is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerView {
    #[serde(flatten)]
    pub(super) worker: Worker,
    /// It gave a sign of life a short while ago.
    pub(super) alive: bool,
}

/// The workers, newest first; dead ones are shown for a day
#[utoipa::path(get, path = "/api/admin/workers", tag = "admin", responses((status = OK, body = Page<WorkerView>)))]
pub async fn list_workers(app: AppState, _: Admin) -> AppResult<Json<Page<WorkerView>>> {
    let mut conn = app.db.conn().await?;
    let all = worker::list(&mut conn).await?;
    let views = all.into_iter().map(|(worker, alive)| WorkerView { worker, alive });
    Ok(Json(Page::whole(views.collect())))
}
