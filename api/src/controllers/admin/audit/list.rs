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
///
/// A request looks at a limited number of entries. With filters that match few, a page may have fewer items than `limit`, or
/// none, and a `nextCursor` that continues the search.
#[utoipa::path(
    get, path = "/api/admin/audit", tag = "admin", params(AuditQuery),
    responses((status = OK, body = Page<AuditEntry>)),
)]
pub async fn list_audit(app: AppState, _: Admin, Query(query): Query<AuditQuery>) -> AppResult<Json<Page<AuditEntry>>> {
    let (limit, before) = query.page().read::<i64>()?;
    let filter = query.filter()?;
    let mut conn = app.db.conn().await?;
    let found = audit::page(&mut conn, &filter, before, limit.fetched()).await?;
    let page = Page::cut(found.entries, limit, |entry| entry.id, |entry| entry);
    Ok(Json(page.or_continue_at(found.searched_to)))
}
