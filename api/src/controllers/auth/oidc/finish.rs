use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use clawdeploy_shared::db::Scope;
use clawdeploy_shared::telemetry::chain;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{OidcAnswer, PLACE, back_at_the_door, provider, to};
use crate::{
    audit::{Entry, Target},
    auth::{
        Principal,
        cookie::{self, Presented},
        session::{self, Browser},
    },
    error::AppResult,
    extract::Query,
    identity::{self, Accounts, Found, Identity, NoEmail, SignIn},
    middleware::RequestContext,
    state::AppState,
};

/// Completes the sign-in with the identity provider
///
/// This is the callback of the provider. The browser is redirected to the panel, or on failure to `/sign-in?error=`
/// with `oidc_refused`, `oidc_failed`, `oidc_unknown_account`, or the reason why a new identity cannot be linked to an
/// account: `oidc_email_missing`, `oidc_email_verified_missing` (the provider does not send these claims) or
/// `oidc_email_unverified`.
#[utoipa::path(
    get, path = "/api/auth/oidc/callback", tag = "auth", security(()), params(OidcAnswer),
    responses((status = SEE_OTHER, description = "Redirect to the panel")),
)]
pub async fn finish_oidc(
    app: AppState,
    context: RequestContext,
    headers: HeaderMap,
    Query(answer): Query<OidcAnswer>,
) -> AppResult<Response> {
    let provider = provider(&app)?;
    let Some(sign_in) = attempt(&app, &headers, answer.state.as_deref().unwrap_or_default()) else {
        return Ok(back_at_the_door("oidc_failed"));
    };
    let Some(code) = answer.code.filter(|_| answer.error.is_none()) else {
        return Ok(back_at_the_door("oidc_refused"));
    };
    let who = match provider.end(&sign_in, &code).await {
        Ok(who) => who,
        Err(error) => {
            tracing::warn!(error = chain(&error), "Could not sign in through the identity provider");
            return Ok(back_at_the_door("oidc_failed"));
        }
    };
    let accounts = provider.accounts;
    match sign_in_as(&app, accounts, who, context, Browser::of(&headers)).await? {
        Ok(session) => {
            let mut answer = to("/", cookie::clear_named(cookie::OIDC));
            answer.headers_mut().append(header::SET_COOKIE, session);
            Ok(answer)
        }
        Err(why) => Ok(back_at_the_door(why)),
    }
}

/// The attempt from the browser's cookie, if the callback belongs to it.
fn attempt(app: &AppState, headers: &HeaderMap, state: &str) -> Option<SignIn> {
    let Presented::One(sealed) = cookie::presented_named(headers, cookie::OIDC) else { return None };
    let text = app.sealer.open(sealed, PLACE).ok()?;
    let sign_in: SignIn = serde_json::from_str(text.expose_secret()).ok()?;
    sign_in.is_of(state).then_some(sign_in)
}

/// The cookie of a new session, or the code of the error.
async fn sign_in_as(
    app: &AppState,
    accounts: Accounts,
    identity: Identity,
    context: RequestContext,
    browser: Browser,
) -> AppResult<Result<HeaderValue, &'static str>> {
    app.transaction(Scope::Everything, async move |conn| {
        let mut detail = json!({ "issuer": identity.issuer, "subject": identity.subject });
        let (user, why) = match identity::person(conn, accounts, &identity, Some(&context)).await? {
            Found::Somebody(user) => (Some(*user), None),
            Found::Nobody => (None, None),
            Found::NoEmail(why) => (None, Some(why)),
        };
        let Some(user) = user else {
            if let Some(why) = why {
                detail["reason"] = why.to_string().into();
            }
            let name = identity.email.as_deref().unwrap_or("?");
            let entry = Entry::new("auth.login", Target::Stranger(name)).detail(detail).refused();
            entry.by_named(conn, name, Some(&context)).await?;
            return Ok(Err(why.map_or("oidc_unknown_account", NoEmail::code)));
        };
        let opened = session::open(conn, &user, &browser, &context).await?;
        let who = Principal::of_session(user, opened.id);
        let entry = Entry::new("auth.login", Target::User(who.user.id)).owned_by(who.user.id);
        entry.detail(detail).by(conn, &who, &context).await?;
        Ok(Ok(opened.cookie()))
    })
    .await
}
