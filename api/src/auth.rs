//! Authentication. A handler that takes a [`Principal`] answers 401 to unauthenticated requests. One that takes an
//! [`Admin`] answers 403 to people who are not administrators.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};
use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::{
        self, Scope,
        follow::Access,
        token::{self, TokenScope},
        user::{Role, User},
    },
    ids::{InstanceId, SessionId, TokenId},
    token::{API_TOKEN_PREFIX, token_hash},
};

use self::cookie::Presented;
use crate::{
    error::{AppError, AppResult, ErrorCode},
    identity::{self, Found, IdentityError},
    middleware::{RequestContext, log::Noted},
    state::AppState,
};

pub mod cookie;
pub mod password;
pub mod second_factor;
pub mod session;
pub mod throttle;

/// An authenticated person.
#[derive(Debug, Clone)]
pub struct Principal {
    pub user: User,
    pub credential: Credential,
    /// What the credential allows.
    pub rights: TokenScope,
}

/// How a person was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// The session cookie of a browser.
    Session(SessionId),
    /// An API token.
    Token(TokenId),
    /// A token of the identity provider, and when it expires (seconds since 1970).
    Provider { expires: i64 },
}

impl Credential {
    pub fn session(self) -> Option<SessionId> {
        if let Self::Session(id) = self { Some(id) } else { None }
    }

    pub fn token(self) -> Option<TokenId> {
        if let Self::Token(id) = self { Some(id) } else { None }
    }

    /// Expiry of a credential that has no row in the database.
    pub fn good_until(self) -> Option<DateTime<Utc>> {
        match self {
            // A time that is out of range counts as expired.
            Self::Provider { expires } => Some(DateTime::from_timestamp(expires, 0).unwrap_or(DateTime::UNIX_EPOCH)),
            Self::Session(_) | Self::Token(_) => None,
        }
    }
}

impl Principal {
    /// A person signed in with a browser, who has all of the person's rights.
    pub fn of_session(user: User, id: SessionId) -> Self {
        Self { user, credential: Credential::Session(id), rights: TokenScope::Admin }
    }

    /// What streams, which outlive their request, check every second: that the person is not suspended and has the same
    /// role, that the credential is valid, and that the person owns the instance, if any.
    pub fn access(&self, instance: Option<&InstanceId>) -> Access {
        Access {
            user: self.user.id,
            role: self.user.role,
            session: self.credential.session(),
            token: self.credential.token(),
            instance: instance.cloned(),
        }
    }

    /// Refuses credentials whose scope is too small.
    pub fn needs(&self, scope: TokenScope) -> AppResult<()> {
        if self.rights >= scope {
            return Ok(());
        }
        let detail =
            format!("The token's scope is {}, but this request needs {scope}. Create another token.", self.rights);
        Err(AppError::new(ErrorCode::InsufficientScope, detail))
    }

    /// What the person may see and change when a single object is requested by its id.
    pub fn scope(&self) -> Scope {
        if self.is_admin() { Scope::Everything } else { self.own() }
    }

    /// The person's own objects, as in the person's own lists.
    pub fn own(&self) -> Scope {
        Scope::Owner(self.user.id)
    }

    /// Whether the person is an administrator and the credential has the scope for it.
    pub fn is_admin(&self) -> bool {
        self.user.role == Role::Admin && self.rights == TokenScope::Admin
    }
}

/// A [`Principal`] who may manage the account itself: by a session, or by a token with the scope `admin`.
#[derive(Debug, Clone)]
pub struct Account(pub Principal);

/// A [`Principal`] who is an administrator.
#[derive(Debug, Clone)]
pub struct Admin(pub Principal);

impl FromRequestParts<AppState> for Principal {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> AppResult<Self> {
        // A request with a token does not fall back to the cookie.
        let principal = if parts.headers.contains_key(header::AUTHORIZATION) {
            by_token(&parts.headers, app).await?
        } else {
            by_cookie(parts, app).await?
        };
        if let Some(noted) = parts.extensions.get::<Noted>() {
            noted.user(principal.user.id);
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            principal.needs(TokenScope::Operate)?;
        }
        Ok(principal)
    }
}

async fn by_token(headers: &HeaderMap, app: &AppState) -> AppResult<Principal> {
    let presented = match bearer(headers)? {
        Bearer::Own(token) => token,
        Bearer::Signed(token) => return by_provider(token, app).await,
    };
    let mut conn = app.db.conn().await?;
    let found = token::authenticate(&mut conn, &token_hash(presented)).await?;
    let (id, rights, user) = found.ok_or_else(bad_token)?;
    Ok(Principal { user, credential: Credential::Token(id), rights })
}

/// Authenticates by a token of the identity provider. It may change the person's instances, but not the account.
async fn by_provider(presented: &str, app: &AppState) -> AppResult<Principal> {
    let provider = app.provider.as_ref().ok_or_else(bad_token)?;
    let (who, expires) = provider.bearer(presented).await.map_err(|error| match error {
        IdentityError::Token(why) => AppError::new(ErrorCode::InvalidToken, format!("The token is refused: {why}.")),
        error => AppError::new(ErrorCode::Unavailable, "The token cannot be checked at the moment. Try again shortly.")
            .with_source(error),
    })?;
    let accounts = provider.accounts;
    let found = app
        .transaction(Scope::Everything, async move |conn| identity::person(conn, accounts, &who, None).await)
        .await?;
    let user = match found {
        Found::Somebody(user) => *user,
        Found::Nobody => {
            let detail = "The token is valid, but belongs to no account here. Sign in once in a browser, or ask an administrator.";
            return Err(AppError::new(ErrorCode::InvalidToken, detail));
        }
        Found::NoEmail(why) => {
            let detail =
                format!("The token is valid, but belongs to no account here, and cannot be linked to one: {why}.");
            return Err(AppError::new(ErrorCode::InvalidToken, detail));
        }
    };
    Ok(Principal { user, credential: Credential::Provider { expires }, rights: TokenScope::Operate })
}

async fn by_cookie(parts: &Parts, app: &AppState) -> AppResult<Principal> {
    let presented = match cookie::presented(&parts.headers) {
        Presented::One(value) => value,
        Presented::Nothing => return Err(unauthenticated()),
        Presented::Several => {
            let detail = "The request has two session cookies, so it is rejected. Delete the cookies of this site and \
                          of its parent domain, then sign in again.";
            return Err(AppError::new(ErrorCode::Unauthenticated, detail));
        }
    };
    let from = parts.extensions.get::<RequestContext>().and_then(|context| context.client_ip);
    let from = from.map(|ip| ip.to_string());
    let mut conn = app.db.conn().await?;
    let found = db::session::authenticate(&mut conn, &token_hash(presented), from.as_deref()).await?;
    let (id, user) =
        found.ok_or_else(|| AppError::new(ErrorCode::Unauthenticated, "Your session has ended. Sign in again."))?;
    Ok(Principal::of_session(user, id))
}

impl FromRequestParts<AppState> for Account {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> AppResult<Self> {
        let principal = Principal::from_request_parts(parts, app).await?;
        principal.needs(TokenScope::Admin)?;
        Ok(Self(principal))
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> AppResult<Self> {
        let principal = Principal::from_request_parts(parts, app).await?;
        if principal.user.role != Role::Admin {
            return Err(AppError::new(ErrorCode::AdminOnly, "Only an administrator may do this."));
        }
        principal.needs(TokenScope::Admin)?;
        Ok(Self(principal))
    }
}

fn bad_token() -> AppError {
    AppError::new(ErrorCode::InvalidToken, "The token is unknown, has expired or was revoked. Create another one.")
}

fn unauthenticated() -> AppError {
    let detail =
        "Authentication is required: sign in (POST /api/auth/login), or send a token (Authorization: Bearer TOKEN).";
    AppError::new(ErrorCode::Unauthenticated, detail)
}

/// The token in an `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
enum Bearer<'a> {
    /// An API token.
    Own(&'a str),
    /// Has the form of a signed token.
    Signed(&'a str),
}

fn bearer(headers: &HeaderMap) -> AppResult<Bearer<'_>> {
    let header = headers.get(header::AUTHORIZATION).ok_or_else(unauthenticated)?;
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthenticated());
    }
    let token = token.trim();
    if token.starts_with(API_TOKEN_PREFIX) {
        return Ok(Bearer::Own(token));
    }
    let is_signed = token.split('.').count() == 3;
    if is_signed { Ok(Bearer::Signed(token)) } else { Err(bad_token()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_of_ours_is_looked_up() {
        let table = [
            (None, Err(ErrorCode::Unauthenticated)),
            (Some("claw_abc"), Err(ErrorCode::Unauthenticated)),
            (Some("Basic claw_abc"), Err(ErrorCode::Unauthenticated)),
            (Some("Bearer ghp_abc"), Err(ErrorCode::InvalidToken)),
            (Some("Bearer claw_abc"), Ok(Bearer::Own("claw_abc"))),
            (Some("bearer  claw_abc"), Ok(Bearer::Own("claw_abc"))),
            (Some("Bearer a.b.c"), Ok(Bearer::Signed("a.b.c"))),
            (Some("Bearer a.b"), Err(ErrorCode::InvalidToken)),
        ];
        for (header, want) in table {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers).map_err(|e| e.code()), want, "{header:?}");
        }
    }
}
