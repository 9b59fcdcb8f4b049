use clawdeploy_shared::db::audit::{self, AuditEntry};

use super::query::AuditQuery;
use crate::{
    auth::Admin,
    error::AppResult,
    extract::{Json, Query},
    page::Page,
    state::AppState,
};

/// Lists the entries of the audit log, newest first
#[utoipa::path(
    get, path = "/api/admin/audit", tag = "admin", params(AuditQuery),
    responses((status = OK, body = Page<AuditEntry>)),
)]
pub async fn list_audit(app: AppState, _: Admin, Query(query): Query<AuditQuery>) -> AppResult<Json<Page<AuditEntry>>> {
    let (limit, before) = query.page().read::<i64>()?;
    let filter = query.filter()?;
    let mut conn = app.db.conn().await?;
    let rows = audit::list(&mut conn, &filter, before, limit.fetched()).await?;
    Ok(Json(Page::cut(rows, limit, |entry| entry.id, |entry| entry)))
}
