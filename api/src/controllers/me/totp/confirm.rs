use chrono::Utc;
use clawdeploy_shared::{
    db::{Scope, second_factor},
    totp,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::prepare::enabled;
use crate::{
    audit::{Entry, Target},
    auth::{
        Account,
        second_factor::{normal, recovery_codes},
    },
    controllers::me::{guess, wrong},
    error::{AppError, AppResult, ErrorCode},
    extract::Json,
    middleware::RequestContext,
    reveal::Revealed,
    state::AppState,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmTotp {
    /// Current code of the app
    #[schema(value_type = String, write_only, example = "123456")]
    code: SecretString,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryCodes {
    /// Codes that each replace a code of the app once. Shown only in this response.
    recovery_codes: Vec<Revealed>,
}

/// Confirms an authenticator app
///
/// From now on, sign-in requires its codes.
#[utoipa::path(
    post, path = "/api/me/totp/confirm", tag = "auth", request_body = ConfirmTotp,
    responses((status = OK, body = RecoveryCodes)),
)]
pub async fn confirm_totp(
    app: AppState,
    Account(who): Account,
    context: RequestContext,
    Json(form): Json<ConfirmTotp>,
) -> AppResult<Json<RecoveryCodes>> {
    let guess = guess(&app, &who).await?;
    let (id, state) = (who.user.id, app.clone());
    let codes = app
        .transaction(Scope::Everything, async move |conn| {
            let sealed = match second_factor::find(conn, id).await? {
                Some((sealed, false)) => sealed,
                Some((_, true)) => return Err(enabled()),
                None => {
                    let detail = "No authenticator app is being set up. Start with POST /api/me/totp.";
                    return Err(AppError::new(ErrorCode::TotpNotPrepared, detail));
                }
            };
            let place = id.to_string();
            let secret = state.sealer.open(&sealed, second_factor::seal_context(&place)).map_err(AppError::internal)?;
            let code = normal(form.code.expose_secret());
            let Some(step) = totp::step_of(&secret, &code, Utc::now().timestamp()) else {
                return Err(wrong("code", "is not the app's current code; check the clock of its device"));
            };
            let (codes, hashes) = recovery_codes();
            if !second_factor::confirm(conn, id, &sealed, step, &hashes).await? {
                return Err(enabled());
            }
            Entry::new("totp.enable", Target::User(id)).owned_by(id).by(conn, &who, &context).await?;
            Ok(codes)
        })
        .await?;
    guess.was_right().await;
    Ok(Json(RecoveryCodes { recovery_codes: codes.into_iter().map(Revealed).collect() }))
}
