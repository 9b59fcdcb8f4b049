//! What happens around every request.
//!
//! From the outside in, and why in this order:
//! 1. `request_id`: everything further in may name the request, and knows where it comes from.
//! 2. `log`: one line for each request; the body of an error is written here, where the id is known, so that errors of
//!    all further layers have the same form.
//! 3. `headers`: on every answer, errors included.
//! 4. `panics`: a bug becomes a 500 like any other, with its log line.
//! 5. `origin`: refuses what a page of another site makes, before anything else looks at it.
//! 6. `deadline`: innermost, so that nothing of the above is dropped with a handler that takes too long.

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

/// Puts all layers around a router; the last one added is the outermost.
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
