use axum::http::StatusCode;
use clawdeploy_shared::db::{Scope, invitation, session, user};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::confirm_password;
use crate::{
    audit::{Entry, Target},
    auth::{Account, Credential},
    error::{AppError, AppResult},
    extract::Json,
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangePassword {
    #[schema(value_type = String, write_only)]
    current: SecretString,
    #[schema(value_type = String, write_only, min_length = 12, max_length = 1024)]
    new: SecretString,
}

/// Changes your password and signs you out everywhere else
///
/// API tokens stay valid.
#[utoipa::path(
    post, path = "/api/me/password", tag = "auth", request_body = ChangePassword, responses((status = NO_CONTENT)),
)]
pub async fn change_password(
    app: AppState,
    Account(who): Account,
    context: RequestContext,
    Json(form): Json<ChangePassword>,
) -> AppResult<StatusCode> {
    let mut checks = Checks::default();
    checks.password("new", &form.new);
    checks.done()?;
    confirm_password(&app, &who, "current", form.current).await?;
    let hash = app.passwords.hash(form.new).await.map_err(AppError::internal)?;
    app.transaction(Scope::Everything, async move |conn| {
        let id = who.user.id;
        let own = match who.credential {
            Credential::Session(session) => Some(session),
            _ => None,
        };
        user::set_password(conn, id, &hash).await?;
        invitation::forget(conn, id).await?;
        session::end_all(conn, id, own).await?;
        Ok(Entry::new("user.change_password", Target::User(id)).owned_by(id).by(conn, &who, &context).await?)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
