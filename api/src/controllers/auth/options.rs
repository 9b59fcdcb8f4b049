use clawdeploy_shared::db::setup;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{error::AppResult, extract::Json, state::AppState};

/// How one can sign in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthOptions {
    /// There is no account yet: the first administrator has to be created, with the token in the API's log.
    setup_required: bool,
    /// Another place to sign in at, by `GET /api/auth/oidc/start`.
    oidc: Option<OidcOption>,
}

/// An identity provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct OidcOption {
    /// The name shown on the sign-in page
    name: String,
}

/// The available ways to sign in
#[utoipa::path(get, path = "/api/auth/options", tag = "auth", security(()), responses((status = OK, body = AuthOptions)))]
pub async fn get_auth_options(app: AppState) -> AppResult<Json<AuthOptions>> {
    let setup_required = setup::is_required(&mut *app.db.conn().await?).await?;
    let provider = app.provider.as_ref().filter(|provider| provider.signs_in());
    let oidc = provider.map(|provider| OidcOption { name: provider.name.clone() });
    Ok(Json(AuthOptions { setup_required, oidc }))
}
