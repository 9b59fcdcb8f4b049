use clawdeploy_shared::db::firewall::{self, Firewall};

use crate::{auth::Admin, error::AppResult, extract::Json, state::AppState};

/// Returns the result of the last firewall probe
///
/// A result older than five minutes is shown as `unknown`.
#[utoipa::path(get, path = "/api/admin/firewall", tag = "admin", responses((status = OK, body = Firewall)))]
pub async fn get_firewall(app: AppState, _: Admin) -> AppResult<Json<Firewall>> {
    let mut conn = app.db.conn().await?;
    Ok(Json(firewall::current(&mut conn).await?))
}
