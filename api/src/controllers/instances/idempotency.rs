//! `Idempotency-Key`: a repeated request to create an instance does not create a second one.
//!
//! The key is stored with the job of the first request, together with a digest of the request's body.

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

/// The value of the header, if there is one: 1 to 128 printable ASCII characters.
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

/// An earlier request with the same key.
#[derive(Debug)]
pub(super) enum Earlier {
    /// There was none.
    None,
    /// It was the same request, and created this job.
    Same(Box<Job>),
    /// It was a different request.
    Other,
}

impl IdempotencyKey {
    /// Finds the earlier request. If the person's row is locked, the result is valid until the transaction ends.
    pub(super) async fn earlier(&self, conn: &mut Conn, who: UserId, sha256: &[u8]) -> Result<Earlier, DbError> {
        let Some(key) = &self.0 else { return Ok(Earlier::None) };
        Ok(match job::find_by_idempotency_key(conn, who, key).await? {
            None => Earlier::None,
            Some(job) if job.idempotency_hash.as_deref() == Some(sha256) => Earlier::Same(Box::new(job)),
            Some(_) => Earlier::Other,
        })
    }
}
