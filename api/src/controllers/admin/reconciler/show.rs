use clawdeploy_shared::db::sweep::{self, Sweep};

use crate::{auth::Admin, error::AppResult, extract::Json, page::Page, state::AppState};

/// Lists the reconciler's sweeps, with the findings of each sweep's last run
#[utoipa::path(get, path = "/api/admin/reconcile", tag = "admin", responses((status = OK, body = Page<Sweep>)))]
pub async fn list_sweeps(app: AppState, _: Admin) -> AppResult<Json<Page<Sweep>>> {
    let mut conn = app.db.conn().await?;
    Ok(Json(Page::whole(sweep::list(&mut conn).await?)))
}
