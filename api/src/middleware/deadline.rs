//! Limits the time until a response begins. The body of a stream is not limited.

use std::time::Duration;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    error::{AppError, ErrorCode},
    rpc,
};

const DEADLINE: Duration = Duration::from_secs(30);
/// For requests that wait for a command in a container, or until an instance runs. Shorter than the minute that most proxies
/// wait.
const LONG_DEADLINE: Duration = Duration::from_secs(rpc::LIMIT.as_secs() + 3);

pub(super) async fn deadline(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let waits = path.starts_with("/api/instances/") && (path.ends_with("/dashboard-link") || path.contains("/devices"))
        || path.starts_with("/pages/");
    tokio::time::timeout(if waits { LONG_DEADLINE } else { DEADLINE }, next.run(request)).await.unwrap_or_else(|_| {
        let detail = "The request took too long. It may still be carried out; check before you try again.";
        AppError::new(ErrorCode::TimedOut, detail).into_response()
    })
}
