//! Sign-in with an identity provider (OIDC).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use clawdeploy_shared::secret::SealContext;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::cookie,
    error::{AppError, AppResult, ErrorCode},
    identity::Provider,
    state::AppState,
};

pub mod finish;
pub mod start;

/// A sign-in attempt is stored only in a sealed cookie, which the browser cannot read.
const PLACE: SealContext<'static> = SealContext { table: "cookie", column: "oidc", row: "-" };

fn provider(app: &AppState) -> AppResult<&Provider> {
    let detail = "No identity provider is configured here. Sign in with your password.";
    let provider = app.provider.as_ref().filter(|provider| provider.signs_in());
    provider.ok_or_else(|| AppError::new(ErrorCode::NotFound, detail))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OidcAnswer {
    /// The authorization code
    code: Option<String>,
    /// The sign-in attempt that the callback belongs to
    state: Option<String>,
    /// The provider's error, if there is no code
    error: Option<String>,
}

/// Redirects to the sign-in page, which has a message for each of these errors.
fn back_at_the_door(error: &str) -> Response {
    to(&format!("/sign-in?error={error}"), cookie::clear_named(cookie::OIDC))
}

fn to(location: &str, cookie: HeaderValue) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)], [(header::SET_COOKIE, cookie)]).into_response()
}
