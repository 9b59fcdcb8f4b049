use clawdeploy_shared::db::version_policy::{self, VersionPolicy};

use crate::{auth::Admin, error::AppResult, extract::Json, state::AppState};

/// Returns the policy for vulnerable versions of OpenClaw
#[utoipa::path(
    get, path = "/api/admin/version-policy", tag = "admin", responses((status = OK, body = VersionPolicy)),
)]
pub async fn get_version_policy(app: AppState, _: Admin) -> AppResult<Json<VersionPolicy>> {
    Ok(Json(version_policy::get(&mut *app.db.conn().await?).await?))
}
