use clawdeploy_shared::db::image::{self, ImageBuild};

use crate::{auth::Admin, error::AppResult, extract::Json, page::Page, state::AppState};

/// How many are shown; older ones are of no use to anybody.
const SHOWN: i64 = 100;

/// The latest builds of the OpenClaw image, newest first
#[utoipa::path(get, path = "/api/admin/images", tag = "admin", responses((status = OK, body = Page<ImageBuild>)))]
pub async fn list_images(app: AppState, _: Admin) -> AppResult<Json<Page<ImageBuild>>> {
    let mut conn = app.db.conn().await?;
    Ok(Json(Page::whole(image::list(&mut conn, SHOWN).await?)))
}
