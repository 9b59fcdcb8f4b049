use crate::{
    auth::Admin,
    error::AppResult,
    extract::Json,
    page::Page,
    state::AppState,
    views::queue::{QueueView, views},
};

/// Lists the queues, with their jobs, workers and statistics of the last hour
#[utoipa::path(get, path = "/api/admin/queues", tag = "admin", responses((status = OK, body = Page<QueueView>)))]
pub async fn list_queues(app: AppState, _: Admin) -> AppResult<Json<Page<QueueView>>> {
    let mut conn = app.db.conn().await?;
    Ok(Json(Page::whole(views(&mut conn).await?)))
}
