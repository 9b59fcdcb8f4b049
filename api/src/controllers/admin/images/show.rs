use clawdeploy_shared::db::image::{self, ImageBuild};

use super::ImagePath;
use crate::{
    auth::Admin,
    error::{AppError, AppResult},
    extract::{Json, Path},
    state::AppState,
};

/// Returns a build of the OpenClaw image
#[utoipa::path(
    get, path = "/api/admin/images/{id}", tag = "admin", params(ImagePath),
    responses((status = OK, body = ImageBuild)),
)]
pub async fn get_image(app: AppState, _: Admin, Path(path): Path<ImagePath>) -> AppResult<Json<ImageBuild>> {
    let mut conn = app.db.conn().await?;
    let build = image::find(&mut conn, path.id).await?.ok_or_else(|| AppError::not_found("build"))?;
    Ok(Json(build))
}
