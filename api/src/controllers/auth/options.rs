use clawdeploy_shared::db::setup;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{error::AppResult, extract::Json, state::AppState};

/// The available ways to sign in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthOptions {
    /// Whether there is no account yet, so that the first administrator must be created, with the token in the API's
    /// log.
    setup_required: bool,
    /// The identity provider, for sign-in with `GET /api/auth/oidc/start`; null: none.
    oidc: Option<OidcOption>,
}

/// An identity provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct OidcOption {
    /// The name shown on the sign-in page
    name: String,
}

/// Returns the available ways to sign in
#[utoipa::path(
    get, path = "/api/auth/options", tag = "auth", security(()),
    responses((status = OK, body = AuthOptions)),
)]
pub async fn get_auth_options(app: AppState) -> AppResult<Json<AuthOptions>> {
    let setup_required = setup::is_required(&mut *app.db.conn().await?).await?;
    let provider = app.provider.as_ref().filter(|provider| provider.signs_in());
    let oidc = provider.map(|provider| OidcOption { name: provider.name.clone() });
    Ok(Json(AuthOptions { setup_required, oidc }))
}
