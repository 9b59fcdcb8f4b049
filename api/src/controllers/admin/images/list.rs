use clawdeploy_shared::db::image::{self, ImageBuild};

use crate::{auth::Admin, error::AppResult, extract::Json, page::Page, state::AppState};

/// Maximum number of builds in the response.
const SHOWN: i64 = 100;

/// Lists the last 100 builds of the OpenClaw image, newest first
#[utoipa::path(get, path = "/api/admin/images", tag = "admin", responses((status = OK, body = Page<ImageBuild>)))]
pub async fn list_images(app: AppState, _: Admin) -> AppResult<Json<Page<ImageBuild>>> {
    let mut conn = app.db.conn().await?;
    Ok(Json(Page::whole(image::list(&mut conn, SHOWN).await?)))
}
