use axum::response::Response;
use clawdeploy_shared::telemetry::chain;
use secrecy::SecretString;

use super::{PLACE, back_at_the_door, provider, to};
use crate::{
    auth::cookie,
    error::{AppError, AppResult},
    identity::SignIn,
    state::AppState,
};

/// Redirects to the identity provider to sign in
///
/// Redirects to `/sign-in?error=oidc_unavailable` if the provider is not available.
#[utoipa::path(
    get, path = "/api/auth/oidc/start", tag = "auth", security(()),
    responses((status = SEE_OTHER, description = "Redirect to the provider")),
)]
pub async fn start_oidc(app: AppState) -> AppResult<Response> {
    let (url, sign_in) = match provider(&app)?.begin().await {
        Ok(begun) => begun,
        Err(error) => {
            tracing::warn!(error = chain(&error), "The identity provider is not available");
            return Ok(back_at_the_door("oidc_unavailable"));
        }
    };
    let text = SecretString::from(serde_json::to_string(&sign_in).map_err(AppError::internal)?);
    let sealed = SecretString::from(app.sealer.seal(&text, PLACE).map_err(AppError::internal)?);
    let cookie = cookie::set_named(cookie::OIDC, &sealed, SignIn::LIFETIME);
    Ok(to(url.as_str(), cookie))
}
