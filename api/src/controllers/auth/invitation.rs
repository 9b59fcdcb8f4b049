use axum::{http::HeaderMap, response::Response};
use clawdeploy_shared::{
    db::{Scope, invitation, user},
    text::trim,
    token::token_hash,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::{
        Principal,
        second_factor::{Proof, prove},
        session::{self, Browser, SignedIn},
        throttle::Key,
    },
    controllers::auth::login::second_factor_required,
    error::{AppError, AppResult, ErrorCode},
    extract::Json,
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptInvitation {
    /// Token of the invitation, or of the password reset
    #[schema(value_type = String, write_only)]
    token: SecretString,
    #[schema(value_type = String, write_only, min_length = 12, max_length = 1024)]
    password: SecretString,
    /// Code of the authenticator app, or a recovery code; required if an app is set up
    #[schema(value_type = Option<String>, write_only)]
    code: Option<SecretString>,
}

/// Accepts an invitation: sets the password and signs in
#[utoipa::path(
    post, path = "/api/auth/invitations/accept", tag = "auth", request_body = AcceptInvitation, security(()),
    responses((status = OK, body = SignedIn)),
)]
pub async fn accept_invitation(
    app: AppState,
    context: RequestContext,
    headers: HeaderMap,
    Json(form): Json<AcceptInvitation>,
) -> AppResult<Response> {
    let mut checks = Checks::default();
    checks.password("password", &form.password);
    checks.done()?;
    let hash = token_hash(trim(form.token.expose_secret()));
    let keys: Vec<_> = context.client_ip.map(Key::network).into_iter().chain([token_key(&hash)]).collect();
    let attempt = app.logins.attempt(&keys).await?;
    // Checked before hashing, which is expensive.
    invitation::find(&mut *app.db.conn().await?, &hash).await?.ok_or_else(unknown)?;
    let password_hash = app.passwords.hash(form.password).await.map_err(AppError::internal)?;
    let (browser, state) = (Browser::of(&headers), app.clone());
    let answer = app
        .transaction(Scope::Everything, async move |conn| {
            let user = invitation::find(conn, &hash).await?.ok_or_else(unknown)?;
            match prove(conn, &state.sealer, user.id, form.code.as_ref()).await? {
                Proof::Given => {}
                proof @ (Proof::Missing | Proof::Wrong) => return Err(second_factor_required(proof)),
            }
            if !invitation::take(conn, user.id, &hash).await? {
                return Err(unknown());
            }
            user::set_password(conn, user.id, &password_hash).await?;
            let opened = session::open(conn, &user, &browser, &context).await?;
            let who = Principal::of_session(user, opened.id);
            let entry = Entry::new("user.set_password", Target::User(who.user.id)).owned_by(who.user.id);
            entry.by(conn, &who, &context).await?;
            Ok(opened.answer(who.user))
        })
        .await?;
    attempt.was_right().await;
    Ok(answer)
}

/// Attempts with one invitation count together, whatever network they come from.
fn token_key(hash: &[u8]) -> Key {
    Key::account(&hex::encode(hash))
}

fn unknown() -> AppError {
    let detail = "The invitation is not valid, was already used, or has expired (after 24 hours). Ask for a new one.";
    AppError::new(ErrorCode::InvalidCredentials, detail)
}
