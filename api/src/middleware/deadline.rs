//! No request keeps its client waiting for ever. The body of an event stream is not limited, only its beginning.

use std::time::Duration;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::error::{AppError, ErrorCode};

const DEADLINE: Duration = Duration::from_secs(30);

pub(super) async fn deadline(request: Request, next: Next) -> Response {
    tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_| {
        let detail = "The request took too long. What it asked for may still be carried out: look before asking again.";
        AppError::new(ErrorCode::TimedOut, detail).into_response()
    })
}
