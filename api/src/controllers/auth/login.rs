use axum::{http::HeaderMap, response::Response};
use clawdeploy_shared::{
    db::{
        Scope,
        user::{self, User},
    },
    metrics::LOGIN_FAILURES,
    text::email_key,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::{
        Principal, password,
        second_factor::{Proof, prove},
        session::{self, Browser, SignedIn},
        throttle::Key,
    },
    error::{AppError, AppResult, ErrorCode},
    extract::Json,
    middleware::RequestContext,
    state::AppState,
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Login {
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(value_type = String, write_only)]
    password: SecretString,
    /// Code of the authenticator app, or a recovery code; required after the error `second_factor_required`
    #[schema(value_type = Option<String>, write_only, example = "123456")]
    code: Option<SecretString>,
}

/// Signs in: the response sets a cookie for the browser
///
/// Programs use tokens instead (`POST /api/tokens`, or `clawdeploy-api token create`). After ten failures in a minute
/// or sixty in an hour, for one account or from one network, further attempts are refused for a while.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "auth", request_body = Login, security(()),
    responses((status = OK, body = SignedIn)),
)]
pub async fn login(
    app: AppState,
    context: RequestContext,
    headers: HeaderMap,
    Json(form): Json<Login>,
) -> AppResult<Response> {
    let network = context.client_ip.map(Key::network);
    let email = email_key(&form.email);
    let keys: Vec<_> = network.into_iter().chain([Key::account(&email)]).collect();
    let attempt = app.logins.attempt(&keys).await.inspect_err(|_| count_failure("too many attempts"))?;

    let (user, reason) = match check(&app, &email, form.password).await? {
        Checked::Right(user) => match sign_in(&app, &context, Browser::of(&headers), &user, form.code).await? {
            Ok(answer) => {
                attempt.was_right().await;
                return Ok(answer);
            }
            Err(Proof::Wrong) => (Some(user), "wrong code"),
            Err(proof) => {
                attempt.was_right().await;
                return Err(second_factor_required(proof));
            }
        },
        Checked::Wrong { user, reason } => (user, reason),
    };
    count_failure(reason);
    note_failure(&app, context, email, user, reason).await?;
    Err(match reason {
        "wrong code" => second_factor_required(Proof::Wrong),
        _ => AppError::new(ErrorCode::InvalidCredentials, "The e-mail or password is incorrect."),
    })
}

fn count_failure(reason: &'static str) {
    metrics::counter!(LOGIN_FAILURES, "reason" => reason).increment(1);
}

/// The error if the password is right and the code is not.
pub(super) fn second_factor_required(proof: Proof) -> AppError {
    match proof {
        Proof::Wrong => AppError::new(
            ErrorCode::InvalidCode,
            "The code is incorrect or was already used. Wait for the next code, or use a recovery code.",
        ),
        Proof::Missing | Proof::Given => AppError::new(
            ErrorCode::SecondFactorRequired,
            "A code from your authenticator app is also required, in the field code.",
        ),
    }
}

enum Checked {
    Right(User),
    /// The reason is for the audit log only.
    Wrong {
        user: Option<User>,
        reason: &'static str,
    },
}

/// Checks e-mail and password. Every result takes the same work, so that the time does not reveal which accounts exist.
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

/// Opens a session, if the second factor allows it.
async fn sign_in(
    app: &AppState,
    context: &RequestContext,
    browser: Browser,
    user: &User,
    code: Option<SecretString>,
) -> AppResult<Result<Response, Proof>> {
    let (state, context, user) = (app.clone(), context.clone(), user.clone());
    app.transaction(Scope::Everything, async move |conn| {
        match prove(conn, &state.sealer, user.id, code.as_ref()).await? {
            Proof::Given => {}
            proof @ (Proof::Missing | Proof::Wrong) => return Ok(Err(proof)),
        }
        let opened = session::open(conn, &user, &browser, &context).await?;
        let who = Principal::of_session(user, opened.id);
        let entry = Entry::new("auth.login", Target::User(who.user.id)).owned_by(who.user.id);
        entry.by(conn, &who, &context).await?;
        Ok(Ok(opened.answer(who.user)))
    })
    .await
}

async fn note_failure(
    app: &AppState,
    context: RequestContext,
    email: String,
    user: Option<User>,
    reason: &'static str,
) -> AppResult<()> {
    app.transaction(Scope::Everything, async move |conn| {
        // People type their password into the wrong field, so only text that looks like an e-mail address is recorded.
        let name =
            if email.len() <= 254 && email.contains('@') && !email.contains(char::is_control) { &email } else { "?" };
        let target = user.as_ref().map_or(Target::Stranger(name), |user| Target::User(user.id));
        Entry::new("auth.login", target)
            .owned_by(user.as_ref().map(|user| user.id))
            .detail(json!({ "reason": reason }))
            .refused()
            .by_named(conn, name, Some(&context))
            .await?;
        Ok(())
    })
    .await
}
