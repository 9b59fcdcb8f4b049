use std::time::{Duration, Instant};

use axum::http::StatusCode;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use clawdeploy_shared::{
    db::{
        token::{self, NewApiToken, TokenKind},
        user::{self, User},
    },
    ids::TokenId,
    metrics::LOGIN_FAILURES,
    token::{api_token, token_hash},
};
use diesel_async::AsyncConnection as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::{Principal, password, throttle::Key},
    error::{AppError, AppResult, ErrorCode},
    extract::Json,
    middleware::RequestContext,
    reveal::Revealed,
    state::AppState,
};

/// How long one is signed in.
const LIFETIME: TimeDelta = TimeDelta::hours(12);

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Login {
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(value_type = String, write_only)]
    password: SecretString,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// Send it as `Authorization: Bearer ...`
    token: Revealed,
    expires_at: DateTime<Utc>,
    user: User,
}

/// Signs in
///
/// Ten failures in a minute, for one account or from one address, make further attempts wait.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "auth", request_body = Login, security(()),
    responses((status = OK, body = SignedIn)),
)]
pub async fn login(
    app: AppState,
    context: RequestContext,
    Json(form): Json<Login>,
) -> AppResult<(StatusCode, Json<SignedIn>)> {
    let now = Instant::now();
    let network = context.client_ip.map(Key::network);
    let email = form.email.trim().to_owned();
    let keys: Vec<_> = network.into_iter().chain([Key::account(&email)]).collect();
    app.logins.attempt(&keys, now).map_err(|wait| {
        count_failure("too many attempts");
        too_many(wait)
    })?;

    match check(&app, &email, form.password).await? {
        Checked::Right(user) => {
            app.logins.forgive(&keys, now);
            Ok((StatusCode::OK, Json(sign_in(&app, context, user).await?)))
        }
        Checked::Wrong { user, reason } => {
            count_failure(reason);
            note_failure(&app, context, email, user, reason).await?;
            Err(AppError::new(ErrorCode::InvalidCredentials, "E-mail or password is wrong."))
        }
    }
}

fn count_failure(reason: &'static str) {
    metrics::counter!(LOGIN_FAILURES, "reason" => reason).increment(1);
}

fn too_many(wait: Duration) -> AppError {
    let seconds = wait.as_secs() + 1;
    AppError::new(ErrorCode::RateLimited, format!("Too many failed attempts. Try again in {seconds} s."))
        .with_retry_after(wait)
}

enum Checked {
    Right(User),
    /// The reason is for the audit log only.
    Wrong {
        user: Option<User>,
        reason: &'static str,
    },
}

/// Whether somebody may sign in. Every answer takes the same work.
async fn check(app: &AppState, email: &str, password: SecretString) -> AppResult<Checked> {
    let plausible = (3..=254).contains(&email.len()) && !email.chars().any(char::is_control);
    let found = if plausible { user::find_by_email(&mut *app.db.conn().await?, email).await? } else { None };
    let (user, stored) = found.unzip();
    let too_long = password.expose_secret().len() > password::MAX_BYTES;
    let stored = stored.filter(|_| !too_long);
    let right = app.passwords.verify(password, stored).await.map_err(AppError::internal)?;
    Ok(match user {
        Some(user) if right && user.suspended_at.is_none() => Checked::Right(user),
        user => {
            let reason = match &user {
                None => "unknown account",
                Some(_) if right => "suspended",
                Some(_) => "wrong password",
            };
            Checked::Wrong { user, reason }
        }
    })
}

async fn sign_in(app: &AppState, context: RequestContext, user: User) -> AppResult<SignedIn> {
    let token = api_token();
    let hash = token_hash(token.expose_secret());
    let expires_at = (Utc::now() + LIFETIME).trunc_subsecs(0);
    let db = app.db.clone();
    let user = app
        .change(async move {
            let mut conn = db.conn().await?;
            let token_id = TokenId::generate();
            let new = NewApiToken {
                id: token_id,
                user_id: user.id,
                name: "Sign-in",
                kind: TokenKind::Login,
                token_hash: hash,
                expires_at: Some(expires_at),
            };
            let who = Principal { user, token_id };
            conn.transaction::<_, AppError, _>(async |conn| {
                token::insert(conn, &new).await?;
                token::forget_expired_logins(conn, who.user.id).await?;
                let entry = Entry::new("auth.login", Target::User(who.user.id)).owned_by(who.user.id);
                Ok(entry.detail(json!({ "outcome": "success" })).by(conn, &who, &context).await?)
            })
            .await?;
            Ok(who.user)
        })
        .await?;
    Ok(SignedIn { token: Revealed(token), expires_at, user })
}

async fn note_failure(
    app: &AppState,
    context: RequestContext,
    email: String,
    user: Option<User>,
    reason: &'static str,
) -> AppResult<()> {
    let db = app.db.clone();
    app.change(async move {
        let mut conn = db.conn().await?;
        // Some type their password into the wrong field: only what looks like an address is written down.
        let name =
            if email.len() <= 254 && email.contains('@') && !email.contains(char::is_control) { &email } else { "?" };
        let target = user.as_ref().map_or(Target::Stranger(name), |user| Target::User(user.id));
        Entry::new("auth.login", target)
            .owned_by(user.as_ref().map(|user| user.id))
            .detail(json!({ "outcome": "failed", "reason": reason }))
            .by_named(&mut conn, name, Some(&context))
            .await?;
        Ok(())
    })
    .await
}
