//! Logs and measures each request, and writes the bodies of errors.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use clawdeploy_shared::{ids::UserId, metrics::HTTP_REQUEST_SECONDS, telemetry::chain};

use super::RequestContext;
use crate::error::AppError;

/// Facts about the request that handlers and extractors add to its log line.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    user: Arc<OnceLock<UserId>>,
}

impl Noted {
    /// Records the person who makes the request.
    pub fn user(&self, id: UserId) {
        // At most one extractor sets it.
        let _ = self.user.set(id);
    }
}

pub async fn log(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
    // Without a route the path is arbitrary input, so it is shortened.
    let path = route.clone().unwrap_or_else(|| request.uri().path().chars().take(200).collect());
    let request_id = request.extensions().get::<RequestContext>().map(|context| Arc::clone(&context.request_id));
    let request_id = request_id.unwrap_or_default();

    let mut response = next.run(request).await;
    let error = response.extensions_mut().remove::<Arc<AppError>>();
    if let Some(error) = &error {
        *response.body_mut() = problem_body(error, &request_id);
    }
    measure(&method, route, response.status(), started);
    write(&method, &path, &request_id, started, noted.user.get(), response.status(), error.as_deref());
    response
}

fn problem_body(error: &AppError, request_id: &str) -> Body {
    serde_json::to_vec(&error.problem(request_id)).unwrap_or_default().into()
}

/// Requests without a route or with an unusual method share one label, so that clients cannot create new series.
fn measure(method: &Method, route: Option<String>, status: StatusCode, started: Instant) {
    let method = match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    };
    let path = route.map_or(Cow::Borrowed("none"), Cow::Owned);
    let status = status.as_str().to_owned();
    metrics::histogram!(HTTP_REQUEST_SECONDS, "method" => method, "path" => path, "status" => status)
        .record(started.elapsed());
}

fn write(
    method: &Method,
    path: &str,
    request_id: &str,
    started: Instant,
    user: Option<&UserId>,
    status: StatusCode,
    error: Option<&AppError>,
) {
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let user = user.map(tracing::field::display);
    let code = error.map(|error| error.code().as_str());
    let status = status.as_u16();
    if path == "/healthz" || path == "/readyz" {
        // Probes come every few seconds, and a failed readiness check is logged separately.
        tracing::debug!(%method, path, status, duration_ms, request_id, "Answered a probe");
    } else if status >= 500 && !path.starts_with("/pages/") {
        let error = error.map(|error| chain(error));
        tracing::error!(%method, path, status, duration_ms, request_id, user, code, error, "Failed to answer a request");
    } else {
        // The client got the reason, so only a source adds information. The pages that show an instance's status use
        // 5xx for a stopped instance, which is not an error of the API.
        let error = error.and_then(std::error::Error::source).map(chain);
        tracing::info!(%method, path, status, duration_ms, request_id, user, code, error, "Answered a request");
    }
}
