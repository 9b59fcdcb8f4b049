//! Middleware around all requests.
//!
//! From the outermost layer to the innermost, with the reason for its place:
//! 1. `request_id`: all other layers can use the request id and the client's address.
//! 2. `log`: writes one line for each request. It also writes the bodies of errors, because it knows the request id. So
//!    errors of all inner layers have the same format.
//! 3. `headers`: sets headers on all responses, including errors.
//! 4. `panics`: turns a panic into a 500 that is logged like any other.
//! 5. `origin`: refuses requests from other sites before a handler runs.
//! 6. `deadline`: innermost, because it drops what is inside it when a request takes too long.

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use tower_http::catch_panic::CatchPanicLayer;

pub mod client;
mod deadline;
mod headers;
pub mod log;
pub mod origin;
pub mod request_id;
#[cfg(test)]
mod tests;

pub use self::{client::TrustedProxies, origin::OwnOrigin, request_id::RequestContext};

/// Adds all layers. The last one added is the outermost.
pub fn around(router: Router, proxies: TrustedProxies, own: OwnOrigin) -> Router {
    router
        .layer(from_fn(deadline::deadline))
        .layer(from_fn_with_state(own, origin::origin))
        .layer(CatchPanicLayer::custom(panics))
        .layer(from_fn(headers::headers))
        .layer(from_fn(log::log))
        .layer(from_fn_with_state(proxies, request_id::request_id))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panics(panic: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    axum::response::IntoResponse::into_response(crate::error::AppError::panicked(&*panic))
}
