//! Who asks. A handler that takes a [`Principal`] answers 401 to everybody else, one that takes an [`Admin`] 403.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};
use clawdeploy_shared::{
    db::{
        self, Conn, DbError, Scope,
        token::{self, TokenScope},
        user::{Role, User},
    },
    ids::{SessionId, TokenId},
    token::{API_TOKEN_PREFIX, token_hash},
};

use self::cookie::Presented;
use crate::{
    error::{AppError, AppResult, ErrorCode},
    middleware::{RequestContext, log::Noted},
    state::AppState,
};

pub mod cookie;
pub mod password;
pub mod second_factor;
pub mod session;
pub mod throttle;

/// A person who proved who they are.
#[derive(Debug, Clone)]
pub struct Principal {
    pub user: User,
    /// By what.
    pub credential: Credential,
    /// How far that goes.
    pub rights: TokenScope,
}

/// What proves who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// The cookie of a browser.
    Session(SessionId),
    /// An API token.
    Token(TokenId),
}

impl Credential {
    pub fn session(self) -> Option<SessionId> {
        if let Self::Session(id) = self { Some(id) } else { None }
    }

    pub fn token(self) -> Option<TokenId> {
        if let Self::Token(id) = self { Some(id) } else { None }
    }
}

impl Principal {
    /// Somebody in a browser, who may do everything that the person may.
    pub fn of_session(user: User, id: SessionId) -> Self {
        Self { user, credential: Credential::Session(id), rights: TokenScope::Admin }
    }

    /// Whether what was shown is still good, and the person still may what they might then. What stays open after its
    /// request asks this every second: a stream, a terminal.
    pub async fn still_holds(&self, conn: &mut Conn) -> Result<bool, DbError> {
        let role = match self.credential {
            Credential::Session(id) => db::session::role(conn, id).await?,
            Credential::Token(id) => token::role(conn, id).await?,
        };
        Ok(role == Some(self.user.role))
    }

    /// Refuses where what was shown does not go so far.
    pub fn needs(&self, scope: TokenScope) -> AppResult<()> {
        if self.rights >= scope {
            return Ok(());
        }
        let detail =
            format!("The token's scope is {}, and this needs {scope}. Make another token for it.", self.rights);
        Err(AppError::new(ErrorCode::InsufficientScope, detail))
    }

    /// What the person may see and change, where a single thing is asked for by its id.
    pub fn scope(&self) -> Scope {
        if self.is_admin() { Scope::Everything } else { self.own() }
    }

    /// What belongs to the person: what their own lists show.
    pub fn own(&self) -> Scope {
        Scope::Owner(self.user.id)
    }

    /// Whether this is an administrator who may act as one: a token may stop short of it.
    pub fn is_admin(&self) -> bool {
        self.user.role == Role::Admin && self.rights == TokenScope::Admin
    }
}

/// A [`Principal`] who may change the account itself: whoever signed in, or has a token that goes so far.
#[derive(Debug, Clone)]
pub struct Account(pub Principal);

/// A [`Principal`] who is an admin.
#[derive(Debug, Clone)]
pub struct Admin(pub Principal);

impl FromRequestParts<AppState> for Principal {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> AppResult<Self> {
        // Whoever sends a token means it: the cookie is not looked at.
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
    let presented = bearer(headers)?;
    let mut conn = app.db.conn().await?;
    let found = token::authenticate(&mut conn, &token_hash(presented)).await?;
    let (id, rights, user) = found.ok_or_else(bad_token)?;
    Ok(Principal { user, credential: Credential::Token(id), rights })
}

async fn by_cookie(parts: &Parts, app: &AppState) -> AppResult<Principal> {
    let presented = match cookie::presented(&parts.headers) {
        Presented::One(value) => value,
        Presented::Nothing => return Err(unauthenticated()),
        Presented::Several => {
            let detail = "There are two cookies of our name, and one of them is not ours. Delete the cookies of this \
                          site and of its parent domain, then sign in again.";
            return Err(AppError::new(ErrorCode::Unauthenticated, detail));
        }
    };
    let from = parts.extensions.get::<RequestContext>().and_then(|context| context.client_ip);
    let from = from.map(|ip| ip.to_string());
    let mut conn = app.db.conn().await?;
    let found = db::session::authenticate(&mut conn, &token_hash(presented), from.as_deref()).await?;
    let (id, user) = found
        .ok_or_else(|| AppError::new(ErrorCode::Unauthenticated, "You are not signed in any more. Sign in again."))?;
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
    AppError::new(ErrorCode::InvalidToken, "The token is unknown, has expired or was revoked. Make another one.")
}

fn unauthenticated() -> AppError {
    let detail = "This needs somebody who is signed in (POST /api/auth/login), or a token of theirs: Authorization: Bearer TOKEN.";
    AppError::new(ErrorCode::Unauthenticated, detail)
}

fn bearer(headers: &HeaderMap) -> AppResult<&str> {
    let header = headers.get(header::AUTHORIZATION).ok_or_else(unauthenticated)?;
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthenticated());
    }
    let token = token.trim();
    if token.starts_with(API_TOKEN_PREFIX) { Ok(token) } else { Err(bad_token()) }
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
            (Some("Bearer claw_abc"), Ok("claw_abc")),
            (Some("bearer  claw_abc"), Ok("claw_abc")),
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
