//! The person's own part of the audit log.

use clawdeploy_shared::db::audit::{self, AuditEntry, Filter};

use crate::{
    auth::Principal,
    error::AppResult,
    extract::{Json, Query},
    page::{Page, PageQuery},
    state::AppState,
};

/// Lists your part of the audit log, newest first
///
/// It contains your actions and the actions of others on what you own. IP addresses of other people are not shown.
#[utoipa::path(
    get, path = "/api/audit", tag = "auth", params(PageQuery),
    responses((status = OK, body = Page<AuditEntry>)),
)]
pub async fn list_own_audit(
    app: AppState,
    who: Principal,
    Query(query): Query<PageQuery>,
) -> AppResult<Json<Page<AuditEntry>>> {
    let (limit, before) = query.read::<i64>()?;
    let filter = Filter { about: Some(who.user.id), ..Filter::default() };
    let rows = app.read(who.own(), async |conn| Ok(audit::page(conn, &filter, before, limit.fetched()).await?.entries));
    let rows = rows.await?;
    let own = |mut entry: AuditEntry| {
        entry.client_ip = entry.client_ip.filter(|_| entry.actor_id == Some(who.user.id));
        entry
    };
    Ok(Json(Page::cut(rows, limit, |entry| entry.id, own)))
}
