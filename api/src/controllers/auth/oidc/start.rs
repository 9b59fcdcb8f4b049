use axum::response::Response;
use secrecy::SecretString;

use super::{PLACE, provider, to};
use crate::{
    auth::cookie,
    error::{AppError, AppResult, ErrorCode},
    identity::{IdentityError, SignIn},
    state::AppState,
};

/// Goes to the provider of identities, to sign in there
#[utoipa::path(
    get, path = "/api/auth/oidc/start", tag = "auth", security(()),
    responses((status = SEE_OTHER, description = "To the provider")),
)]
pub async fn start_oidc(app: AppState) -> AppResult<Response> {
    let (url, sign_in) = provider(&app)?.begin().await.map_err(unavailable)?;
    let text = SecretString::from(serde_json::to_string(&sign_in).map_err(AppError::internal)?);
    let sealed = SecretString::from(app.sealer.seal(&text, PLACE).map_err(AppError::internal)?);
    let cookie = cookie::set_named(cookie::OIDC, &sealed, SignIn::LIFETIME);
    Ok(to(url.as_str(), cookie))
}

fn unavailable(error: IdentityError) -> AppError {
    let detail = "The provider of identities does not answer as it should. Try again shortly.";
    AppError::new(ErrorCode::Unavailable, detail).with_source(error)
}
