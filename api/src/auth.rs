//! Who asks. A handler that takes a [`Principal`] answers 401 to everybody else, one that takes an [`Admin`] 403.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use clawdeploy_shared::{
    db::{
        Scope, token,
        user::{Role, User},
    },
    ids::TokenId,
    token::{API_TOKEN_PREFIX, token_hash},
};

use crate::{
    error::{AppError, AppResult, ErrorCode},
    middleware::log::Noted,
    state::AppState,
};

pub mod password;
pub mod throttle;

/// A person who proved with a token who they are.
#[derive(Debug, Clone)]
pub struct Principal {
    pub user: User,
    /// The token that was presented.
    pub token_id: TokenId,
}

impl Principal {
    /// What the person may see and change, where a single thing is asked for by its id.
    pub fn scope(&self) -> Scope {
        if self.is_admin() { Scope::Everything } else { self.own() }
    }

    /// What belongs to the person: what their own lists show.
    pub fn own(&self) -> Scope {
        Scope::Owner(self.user.id)
    }

    pub fn is_admin(&self) -> bool {
        self.user.role == Role::Admin
    }
}

/// A [`Principal`] who is an admin.
#[derive(Debug, Clone)]
pub struct Admin(pub Principal);

impl FromRequestParts<AppState> for Principal {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> AppResult<Self> {
        let presented = bearer(&parts.headers)?;
        let mut conn = app.db.conn().await?;
        let found = token::authenticate(&mut conn, &token_hash(presented)).await?;
        let (token_id, user) = found.ok_or_else(bad_token)?;
        if let Some(noted) = parts.extensions.get::<Noted>() {
            noted.user(user.id);
        }
        Ok(Self { user, token_id })
    }
}

impl FromRequestParts<AppState> for Admin {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> AppResult<Self> {
        let principal = Principal::from_request_parts(parts, app).await?;
        if principal.is_admin() {
            Ok(Self(principal))
        } else {
            Err(AppError::new(ErrorCode::AdminOnly, "Only an administrator may do this."))
        }
    }
}

fn bad_token() -> AppError {
    AppError::new(ErrorCode::InvalidToken, "The token is unknown, has expired or was revoked. Sign in again.")
}

fn bearer(headers: &HeaderMap) -> AppResult<&str> {
    let missing = || {
        let detail = "This needs a token: sign in at POST /api/auth/login and send Authorization: Bearer TOKEN.";
        AppError::new(ErrorCode::Unauthenticated, detail)
    };
    let header = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
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
