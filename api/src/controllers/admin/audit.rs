use clawdeploy_shared::db::audit::{self, AuditEntry};

use crate::{
    auth::Admin,
    error::AppResult,
    extract::{Json, Query},
    page::{Page, PageQuery},
    state::AppState,
};

/// Who changed what, newest first
#[utoipa::path(
    get, path = "/api/admin/audit", tag = "admin", params(PageQuery),
    responses((status = OK, body = Page<AuditEntry>)),
)]
pub async fn list_audit(app: AppState, _: Admin, Query(query): Query<PageQuery>) -> AppResult<Json<Page<AuditEntry>>> {
    let (limit, before) = query.read::<i64>()?;
    let mut conn = app.db.conn().await?;
    let rows = audit::list(&mut conn, before, limit.fetched()).await?;
    Ok(Json(Page::cut(rows, limit, |entry| entry.id, |entry| entry)))
}
