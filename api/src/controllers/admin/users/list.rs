use clawdeploy_shared::{
    db::person::{self, Person},
    ids::UserId,
};

use crate::{
    auth::Admin,
    error::AppResult,
    extract::{Json, Query},
    page::{Page, PageQuery},
    state::AppState,
};

/// Lists all people, newest first
#[utoipa::path(
    get, path = "/api/admin/users", tag = "admin", params(PageQuery),
    responses((status = OK, body = Page<Person>)),
)]
pub async fn list_users(app: AppState, _: Admin, Query(query): Query<PageQuery>) -> AppResult<Json<Page<Person>>> {
    let (limit, before) = query.read::<UserId>()?;
    let rows = person::list(&mut *app.db.conn().await?, before, limit.fetched()).await?;
    Ok(Json(Page::cut(rows, limit, |person| person.user.id, |person| person)))
}
