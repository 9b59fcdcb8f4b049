use axum::{http::HeaderMap, response::Response};
use clawdeploy_shared::{
    db::{
        Scope, setup,
        user::{self, NewUser, Role},
    },
    ids::UserId,
    text::trim,
    token::token_hash,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::{
        Principal,
        session::{self, Browser, SignedIn},
        throttle::Key,
    },
    error::{AppError, AppResult, ErrorCode},
    extract::Json,
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Setup {
    /// Token from the API's log, written there at every start while there is no account
    #[schema(value_type = String, write_only)]
    token: SecretString,
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(value_type = String, write_only, min_length = 12, max_length = 1024)]
    password: SecretString,
}

/// Creates the first administrator and signs in
///
/// Possible once, with the token from the API's log.
#[utoipa::path(
    post, path = "/api/auth/setup", tag = "auth", request_body = Setup, security(()),
    responses((status = OK, body = SignedIn)),
)]
pub async fn set_up(
    app: AppState,
    context: RequestContext,
    headers: HeaderMap,
    Json(form): Json<Setup>,
) -> AppResult<Response> {
    let mut checks = Checks::default();
    let email = checks.email("email", &form.email);
    checks.password("password", &form.password);
    checks.done()?;
    let keys: Vec<_> = context.client_ip.map(Key::network).into_iter().chain([Key::account("setup")]).collect();
    let attempt = app.logins.attempt(&keys).await?;
    let hash = token_hash(trim(form.token.expose_secret()));
    let done = {
        let mut conn = app.db.conn().await?;
        !setup::is_required(&mut conn).await?
    };
    if done {
        return Err(over());
    }
    let password_hash = app.passwords.hash(form.password).await.map_err(AppError::internal)?;
    let browser = Browser::of(&headers);
    let answer = app
        .transaction(Scope::Everything, async move |conn| {
            if !setup::take(conn, &hash).await? {
                return Err(if setup::is_required(conn).await? { wrong_token() } else { over() });
            }
            let new = NewUser {
                id: UserId::generate(),
                email: &email,
                name: "",
                password_hash: &password_hash,
                role: Role::Admin,
            };
            let user = user::insert(conn, &new).await?;
            let opened = session::open(conn, &user, &browser, &context).await?;
            let who = Principal::of_session(user, opened.id);
            let entry = Entry::new("user.create", Target::User(who.user.id)).owned_by(who.user.id);
            let detail = json!({ "email": email, "role": Role::Admin, "by": "setup token" });
            entry.detail(detail).by(conn, &who, &context).await?;
            Ok(opened.answer(who.user))
        })
        .await?;
    attempt.was_right().await;
    Ok(answer)
}

fn over() -> AppError {
    AppError::new(
        ErrorCode::SetupDone,
        "An administrator already exists. Sign in, or ask an administrator for an invitation.",
    )
}

fn wrong_token() -> AppError {
    let detail =
        "The token is not valid. The API writes a setup token to its log at every start while no account exists.";
    AppError::new(ErrorCode::InvalidCredentials, detail)
}
