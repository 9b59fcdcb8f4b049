//! Opens browser sessions, for all ways to sign in.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use clawdeploy_shared::{
    db::{
        Conn, DbError,
        session::{self, NewSession},
        user::User,
    },
    ids::SessionId,
    token::{session_token, token_hash},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::cookie::{self, Presented};
use crate::{extract::Json, middleware::RequestContext};

/// Longest lifetime of a session. Unused sessions end earlier.
const LIFETIME: TimeDelta = TimeDelta::days(7);

/// Longest part of a `User-Agent` that is stored.
const AGENT_CHARS: usize = 256;

/// The browser that signs in.
#[derive(Debug, Clone)]
pub struct Browser {
    agent: String,
    /// Hash of the session cookie that it already has.
    before: Option<Vec<u8>>,
}

impl Browser {
    pub fn of(headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let before = match cookie::presented(headers) {
            Presented::One(value) => Some(token_hash(value)),
            Presented::Nothing | Presented::Several => None,
        };
        Self { agent: agent.chars().take(AGENT_CHARS).collect(), before }
    }
}

/// A new session.
#[derive(Debug)]
pub struct Opened {
    secret: SecretString,
    expires_at: DateTime<Utc>,
    pub id: SessionId,
}

/// The person who has signed in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    user: User,
    expires_at: DateTime<Utc>,
}

/// Opens a session, in the transaction that has authenticated the person. Ends the browser's previous session.
pub async fn open(
    conn: &mut Conn,
    user: &User,
    browser: &Browser,
    context: &RequestContext,
) -> Result<Opened, DbError> {
    let secret = session_token();
    let expires_at = (Utc::now() + LIFETIME).trunc_subsecs(0);
    let client_ip = context.client_ip.map(|ip| ip.to_string());
    let new = NewSession {
        id: SessionId::generate(),
        user_id: user.id,
        token_hash: token_hash(secret.expose_secret()),
        user_agent: &browser.agent,
        client_ip: client_ip.as_deref(),
        expires_at,
    };
    if let Some(before) = &browser.before {
        session::end_by_hash(conn, before).await?;
    }
    session::insert(conn, &new).await?;
    session::forget_expired(conn).await?;
    Ok(Opened { secret, expires_at, id: new.id })
}

impl Opened {
    /// The `Set-Cookie` header with the session.
    pub fn cookie(&self) -> HeaderValue {
        cookie::set(&self.secret, LIFETIME)
    }

    /// The response that signs the browser in.
    pub fn answer(self, user: User) -> Response {
        let cookie = self.cookie();
        ([(header::SET_COOKIE, cookie)], Json(SignedIn { user, expires_at: self.expires_at })).into_response()
    }
}
