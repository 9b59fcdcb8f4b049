//! `Idempotency-Key`: a create that is sent again, because its answer was lost, makes nothing new.
//!
//! The key is kept with the job that the first request made, with a digest of what it asked for.

use axum::{extract::FromRequestParts, http::request::Parts};
use clawdeploy_shared::{
    db::{
        Conn, DbError,
        job::{self, Job},
    },
    ids::UserId,
};

use crate::{
    error::{AppError, AppResult, ErrorCode},
    state::AppState,
};

const NAME: &str = "Idempotency-Key";

/// The header, where a client sends one: 1 to 128 printable ASCII characters.
#[derive(Debug, Clone)]
pub struct IdempotencyKey(pub(super) Option<String>);

impl FromRequestParts<AppState> for IdempotencyKey {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> AppResult<Self> {
        let Some(value) = parts.headers.get(NAME) else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| (1..=128).contains(&key.len()));
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(|| {
            let message = "must be 1 to 128 printable ASCII characters";
            AppError::new(ErrorCode::InvalidHeader, format!("{NAME} {message}.")).with_field(NAME, "invalid", message)
        })
    }
}

/// What an earlier request with the same key came to.
#[derive(Debug)]
pub(super) enum Earlier {
    /// There was none.
    None,
    /// It was the same request, and made this job.
    Same(Box<Job>),
    /// It was another request.
    Other,
}

impl IdempotencyKey {
    /// Looks for the earlier request. With the person's row locked the answer stays so until the transaction ends.
    pub(super) async fn earlier(&self, conn: &mut Conn, who: UserId, sha256: &[u8]) -> Result<Earlier, DbError> {
        let Some(key) = &self.0 else { return Ok(Earlier::None) };
        Ok(match job::find_by_idempotency_key(conn, who, key).await? {
            None => Earlier::None,
            Some(job) if job.idempotency_hash.as_deref() == Some(sha256) => Earlier::Same(Box::new(job)),
            Some(_) => Earlier::Other,
        })
    }
}
