use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Request, StatusCode, header},
    response::Response,
    routing::get,
};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::error::{AppError, AppResult, ErrorCode};

async fn panics_in_the_middle() -> &'static str {
    panic!("the password is hunter2")
}

async fn refuses() -> AppResult<()> {
    Err(AppError::new(ErrorCode::AlreadyStopped, "The instance is already stopped."))
}

async fn ask(path: &str, request_id: &str) -> (Response, Value) {
    let router = Router::new()
        .route("/api/panic", get(panics_in_the_middle))
        .route("/api/refuse", get(refuses))
        .route("/fine", get(|| async { "fine" }));
    let request = Request::get(path).header("x-request-id", request_id).body(Body::empty()).unwrap();
    let (parts, body) =
        around(router, TrustedProxies::default(), OwnOrigin::default()).oneshot(request).await.unwrap().into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    (Response::from_parts(parts, Body::empty()), serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn a_panic_is_an_error_like_any_other_and_tells_nothing() {
    let (response, problem) = ask("/api/panic", "r-1").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!((&problem["code"], &problem["requestId"]), (&"internal_error".into(), &"r-1".into()));
    assert!(!problem.to_string().contains("hunter2"));
}

#[tokio::test]
async fn an_error_gets_its_body_and_the_id_of_its_request() {
    let (response, problem) = ask("/api/refuse", "r-2").await;
    assert_eq!((response.status(), &problem["requestId"]), (StatusCode::CONFLICT, &"r-2".into()));
    assert_eq!(response.headers()["x-request-id"], "r-2");
}

#[tokio::test]
async fn a_dangerous_request_id_is_replaced() {
    let (response, _) = ask("/fine", "a b").await;
    assert_eq!(response.headers()["x-request-id"].len(), 36);
}

#[tokio::test]
async fn headers_keep_browsers_in_bounds() {
    let (api, _) = ask("/api/refuse", "r").await;
    assert_eq!(api.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(api.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(api.headers()["cross-origin-opener-policy"], "same-origin");
    let (page, _) = ask("/fine", "r").await;
    assert_eq!(page.headers()[header::X_FRAME_OPTIONS], "DENY");
    assert!(!page.headers().contains_key(header::CACHE_CONTROL));
}

#[tokio::test]
async fn a_handler_sees_the_client_behind_a_proxy_that_is_trusted() {
    let router = Router::new().route("/", get(async |context: RequestContext| context.client_ip.unwrap().to_string()));
    let app = around(router, "127.0.0.1".parse().unwrap(), OwnOrigin::default());
    for (peer, client) in [([127, 0, 0, 1], "203.0.113.7"), ([198, 51, 100, 1], "198.51.100.1")] {
        let mut request = Request::get("/").header("x-forwarded-for", "203.0.113.7").body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((peer, 4711))));
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(axum::body::to_bytes(response.into_body(), 99).await.unwrap(), client);
    }
}
