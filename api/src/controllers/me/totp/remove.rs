use axum::http::StatusCode;
use clawdeploy_shared::db::{Scope, second_factor};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::Account,
    controllers::me::confirm_password,
    error::AppResult,
    extract::Json,
    middleware::RequestContext,
    state::AppState,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveTotp {
    #[schema(value_type = String, write_only)]
    password: SecretString,
}

/// Removes the authenticator app
///
/// From now on, sign-in requires only the password.
#[utoipa::path(
    delete, path = "/api/me/totp", tag = "auth", request_body = RemoveTotp, responses((status = NO_CONTENT)),
)]
pub async fn remove_totp(
    app: AppState,
    Account(who): Account,
    context: RequestContext,
    Json(form): Json<RemoveTotp>,
) -> AppResult<StatusCode> {
    confirm_password(&app, &who, "password", form.password).await?;
    app.transaction(Scope::Everything, async move |conn| {
        if second_factor::remove(conn, who.user.id).await? {
            let entry = Entry::new("totp.disable", Target::User(who.user.id)).owned_by(who.user.id);
            entry.by(conn, &who, &context).await?;
        }
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
