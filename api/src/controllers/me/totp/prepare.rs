use clawdeploy_shared::{
    db::{Scope, second_factor},
    totp,
};
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::Account,
    error::{AppError, AppResult, ErrorCode},
    extract::Json,
    reveal::Revealed,
    state::AppState,
};

/// Name of this installation in the app.
const ISSUER: &str = "ClawDeploy";

/// The secret of an authenticator app.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TotpSecret {
    /// Secret in base32, to type in
    secret: Revealed,
    /// Secret as a URL, for a QR code
    otpauth_url: Revealed,
}

/// Starts the setup of an authenticator app
///
/// Sign-in does not change until `POST /api/me/totp/confirm` has confirmed a code.
#[utoipa::path(post, path = "/api/me/totp", tag = "auth", responses((status = OK, body = TotpSecret)))]
pub async fn prepare_totp(app: AppState, Account(who): Account) -> AppResult<Json<TotpSecret>> {
    let secret = totp::secret();
    let otpauth_url = SecretString::from(totp::url(ISSUER, &who.user.email, &secret));
    let row = who.user.id.to_string();
    let sealed = app.sealer.seal(&secret, second_factor::seal_context(&row)).map_err(AppError::internal)?;
    app.transaction(Scope::Everything, async move |conn| {
        if second_factor::prepare(conn, who.user.id, &sealed).await? { Ok(()) } else { Err(enabled()) }
    })
    .await?;
    Ok(Json(TotpSecret { secret: Revealed(secret), otpauth_url: Revealed(otpauth_url) }))
}

pub(super) fn enabled() -> AppError {
    let detail = "An authenticator app is already set up. Remove it first.";
    AppError::new(ErrorCode::TotpEnabled, detail)
}
