//! Who one is.

use clawdeploy_shared::db::user::User;

use crate::{auth::Principal, extract::Json};

/// Who you are
#[utoipa::path(get, path = "/api/me", tag = "auth", responses((status = OK, body = User)))]
pub async fn get_me(who: Principal) -> Json<User> {
    Json(who.user)
}
