//! Errors of requests. They are sent as `application/problem+json` (RFC 9457).
//!
//! - Handlers and extractors return [`AppError`]: a stable code and a sentence for the client, and a source for the
//!   log.
//! - The text for the client is separate from the source. Nothing from the source is sent.
//! - [`crate::middleware::log`] writes the body, because it knows the request id, and logs the error chain once.
//! - Outside of requests (startup, commands) errors are `anyhow`.

use std::{any::Any, borrow::Cow, error::Error, sync::Arc, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use clawdeploy_shared::db::sweep::Sweep;
use serde::Serialize;
use utoipa::ToSchema;

use crate::views::job::JobView;

mod code;
mod db;
#[cfg(test)]
mod tests;

pub use self::code::ErrorCode;

pub type AppResult<T> = Result<T, AppError>;

pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct AppError {
    code: ErrorCode,
    detail: Cow<'static, str>,
    fields: Vec<FieldError>,
    source: Option<Box<dyn Error + Send + Sync>>,
    job: Option<Box<JobView>>,
    sweeps: Vec<Sweep>,
    retry_after: Option<Duration>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Name of the field as it was sent, of the query parameter, or of the header.
    pub field: String,
    /// For programs: `required`, `unexpected`, `too_short`, `too_long`, `out_of_range`, `invalid`, `taken`, ...
    pub code: Cow<'static, str>,
    /// For people. It continues a sentence that begins with the name of the field.
    pub message: Cow<'static, str>,
    /// Largest value that is accepted at present, in the field's unit, if the limit depends on a quota or the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<i64>,
}

impl FieldError {
    pub fn new(
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: field.into(), code: code.into(), message: message.into(), most: None }
    }

    #[must_use]
    pub fn with_most(self, most: i64) -> Self {
        Self { most: Some(most), ..self }
    }
}

/// The body of every error response (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem<'a> {
    /// Always `about:blank`: `code` says more.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// Name of the status.
    #[schema(example = "Conflict")]
    title: &'static str,
    #[schema(example = 409)]
    status: u16,
    code: ErrorCode,
    /// What happened and what to do, for people.
    detail: &'a str,
    /// Identifies this request in the server's log.
    request_id: &'a str,
    /// What is wrong with each field.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    /// The job that prevents this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a JobView>,
    /// The reconciler's sweeps that have finished.
    #[serde(skip_serializing_if = "<[Sweep]>::is_empty")]
    sweeps: &'a [Sweep],
}

impl AppError {
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            source: None,
            job: None,
            sweeps: Vec::new(),
            retry_after: None,
        }
    }

    /// `what` does not exist, or it belongs to another person. The client cannot distinguish the two.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("There is no such {what}."))
    }

    /// Invalid fields, all in one error.
    pub fn validation(fields: Vec<FieldError>) -> Self {
        let list: Vec<_> = fields.iter().map(|f| format!("{} {}", f.field, f.message)).collect();
        Self { fields, ..Self::new(ErrorCode::ValidationFailed, format!("{}.", list.join("; "))) }
    }

    /// An error that the client cannot do anything about.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "Internal error. The request id names this request in the server's log.";
        Self::new(ErrorCode::InternalError, detail).with_source(source)
    }

    /// A panic, which is a bug. Its message goes to the log only.
    pub fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Self::internal(format!("panic: {text}"))
    }

    /// Another job must end first.
    pub fn job_in_progress(job: JobView) -> Self {
        let detail = format!("A {} job is already {}. Wait until it ends, or cancel it.", job.kind, job.status);
        Self::new(ErrorCode::JobInProgress, detail).with_job(job)
    }

    /// Only the sweeps in `done` have finished in time.
    pub fn reconcile_unfinished(detail: impl Into<Cow<'static, str>>, done: Vec<Sweep>) -> Self {
        Self { sweeps: done, ..Self::new(ErrorCode::ReconcileUnfinished, detail) }
    }

    /// Adds the job that prevents the request.
    #[must_use]
    pub fn with_job(mut self, job: JobView) -> Self {
        self.job = Some(Box::new(job));
        self
    }

    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    #[must_use]
    pub fn with_field(
        self,
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.with_field_error(FieldError::new(field, code, message))
    }

    #[must_use]
    pub fn with_field_error(mut self, field: FieldError) -> Self {
        self.fields.push(field);
        self
    }

    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub fn code(&self) -> ErrorCode {
        self.code
    }

    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The response body, for the request with this id.
    pub fn problem<'a>(&'a self, request_id: &'a str) -> Problem<'a> {
        let status = self.status();
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.code,
            detail: &self.detail,
            request_id,
            errors: &self.fields,
            job: self.job.as_deref(),
            sweeps: &self.sweeps,
        }
    }
}

/// Sets status and headers. The middleware that writes the body gets the error as an extension.
impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), [(header::CONTENT_TYPE, PROBLEM_JSON)]).into_response();
        if let Some(wait) = self.retry_after {
            // Rounded up, because a client that retries too early is refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
