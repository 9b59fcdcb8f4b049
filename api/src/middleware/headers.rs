//! Headers that restrict what browsers do with responses: content sniffing, caching and framing.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// JSON is never shown as a document, so nothing in it may run.
const CSP_DATA: &str = "default-src 'none'; frame-ancestors 'none'";

/// The page with the API's documentation loads only its own files.
const CSP_DOCS: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

pub(super) async fn headers(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let docs = path.starts_with("/api/docs");
    let api = path.starts_with("/api/");
    let mut response = next.run(request).await;
    let mut set = |name: HeaderName, value: &'static str| {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    // A page of another origin that opens ours in a window gets no reference to it.
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    if docs {
        set(header::CONTENT_SECURITY_POLICY, CSP_DOCS);
    } else if api {
        set(header::CONTENT_SECURITY_POLICY, CSP_DATA);
        set(header::CACHE_CONTROL, "no-store");
    }
    response
}
