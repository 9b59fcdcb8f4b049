//! Maps database errors to errors for the client. All constraint violations that clients can cause are mapped here.

use std::time::Duration;

use clawdeploy_shared::db::DbError;

use super::{AppError, ErrorCode};
use crate::follow::board::Unanswered;

/// How long a client should wait before it retries.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl From<DbError> for AppError {
    fn from(error: DbError) -> Self {
        if error.is_not_found() {
            return Self::not_found("object").with_source(error);
        }
        if let Some(conflict) = error.broken_constraint().and_then(conflict) {
            return conflict.with_source(error);
        }
        if error.is_transient() || is_deadlock(&error) {
            return unavailable().with_source(error);
        }
        Self::internal(error)
    }
}

impl From<Unanswered> for AppError {
    fn from(error: Unanswered) -> Self {
        unavailable().with_source(error)
    }
}

fn unavailable() -> AppError {
    let detail = "The database is not available at the moment. Try again shortly.";
    AppError::new(ErrorCode::Unavailable, detail).with_retry_after(RETRY_AFTER)
}

/// [`diesel_async::AsyncConnection::transaction`] requires this conversion.
impl From<diesel::result::Error> for AppError {
    fn from(error: diesel::result::Error) -> Self {
        DbError::from(error).into()
    }
}

fn conflict(constraint: &str) -> Option<AppError> {
    match constraint {
        "instances_owner_name_unique" => Some(
            AppError::new(ErrorCode::NameTaken, "There is already an instance with this name. Choose another name.")
                .with_field("name", "taken", "is the name of another instance"),
        ),
        "users_email_unique" => {
            Some(AppError::new(ErrorCode::EmailTaken, "There is already an account with this e-mail.").with_field(
                "email",
                "taken",
                "belongs to another account",
            ))
        }
        "jobs_open_dedupe" => {
            Some(AppError::new(ErrorCode::JobInProgress, "A job of this kind is already waiting or running."))
        }
        _ => None,
    }
}

/// Postgres has ended one of two transactions that waited for each other. A retry may succeed.
fn is_deadlock(error: &DbError) -> bool {
    matches!(error, DbError::Query(diesel::result::Error::DatabaseError(_, info)) if info.message() == "deadlock detected")
}
