use clawdeploy_shared::db::DbError;
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as DieselError};
use serde_json::json;

use super::*;

#[derive(Debug)]
struct Refusal {
    message: &'static str,
    constraint: Option<&'static str>,
}

impl DatabaseErrorInformation for Refusal {
    fn message(&self) -> &str {
        self.message
    }
    fn details(&self) -> Option<&str> {
        None
    }
    fn hint(&self) -> Option<&str> {
        None
    }
    fn table_name(&self) -> Option<&str> {
        None
    }
    fn column_name(&self) -> Option<&str> {
        None
    }
    fn constraint_name(&self) -> Option<&str> {
        self.constraint
    }
    fn statement_position(&self) -> Option<i32> {
        None
    }
}

fn refused(kind: DatabaseErrorKind, message: &'static str, constraint: Option<&'static str>) -> AppError {
    DieselError::DatabaseError(kind, Box::new(Refusal { message, constraint })).into()
}

#[test]
fn failures_of_the_database_have_a_meaning() {
    let table = [
        (AppError::from(DieselError::NotFound), ErrorCode::NotFound),
        (refused(DatabaseErrorKind::UniqueViolation, "", Some("instances_owner_name_unique")), ErrorCode::NameTaken),
        (refused(DatabaseErrorKind::UniqueViolation, "", Some("jobs_open_dedupe")), ErrorCode::JobInProgress),
        (refused(DatabaseErrorKind::UniqueViolation, "", Some("another")), ErrorCode::InternalError),
        (refused(DatabaseErrorKind::SerializationFailure, "", None), ErrorCode::Unavailable),
        (refused(DatabaseErrorKind::Unknown, "deadlock detected", None), ErrorCode::Unavailable),
        (
            refused(DatabaseErrorKind::Unknown, "terminating connection due to administrator command", None),
            ErrorCode::Unavailable,
        ),
        (refused(DatabaseErrorKind::Unknown, "syntax error", None), ErrorCode::InternalError),
        (DbError::Timeout.into(), ErrorCode::Unavailable),
        (DbError::Unreachable("refused".into()).into(), ErrorCode::Unavailable),
    ];
    for (error, code) in table {
        assert_eq!(error.code(), code, "{error:?}");
    }
}

#[test]
fn what_may_pass_says_when_to_come_back() {
    let response = AppError::from(DbError::Timeout).into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    let wait = Duration::from_millis(1200);
    let response = AppError::new(ErrorCode::RateLimited, "").with_retry_after(wait).into_response();
    assert_eq!(response.headers()[header::RETRY_AFTER], "2");
}

#[test]
fn a_problem_tells_nothing_of_its_source() {
    let error = AppError::internal(DbError::Unreachable("password of 10.0.0.1".into()));
    let body = serde_json::to_value(error.problem("r-1")).unwrap();
    assert_eq!(
        body,
        json!({
            "type": "about:blank", "title": "Internal Server Error", "status": 500, "code": "internal_error",
            "detail": "Internal error. The request id names this request in the server's log.", "requestId": "r-1",
        })
    );
    assert!(clawdeploy_shared::telemetry::chain(&error).contains("password of 10.0.0.1"));
}

#[test]
fn a_validation_error_names_every_field() {
    let error = AppError::validation(vec![
        FieldError::new("name", "required", "is required"),
        FieldError::new("memoryMb", "out_of_range", "must be from 1536 to 16384"),
    ]);
    let body = serde_json::to_value(error.problem("r-1")).unwrap();
    assert_eq!(body["status"], 422);
    assert_eq!(body["detail"], "name is required; memoryMb must be from 1536 to 16384.");
    assert_eq!(body["errors"][1]["field"], "memoryMb");
}
