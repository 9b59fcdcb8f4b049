//! Gives each request an id: the client's if it is safe, otherwise a new one. The id is in the response, in each error,
//! in the log, and with the jobs that the request made.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    middleware::Next,
    response::Response,
};

use super::TrustedProxies;

pub static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's id and the client's address, for the log and the audit log.
#[derive(Debug, Clone)]
pub struct RequestContext {
    pub request_id: Arc<str>,
    /// Address of the socket's peer or, behind a trusted proxy, the address that the proxy forwards.
    pub client_ip: Option<IpAddr>,
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let of_layer = parts.extensions.get::<Self>().cloned();
        Ok(of_layer.unwrap_or_else(|| Self { request_id: fresh().into(), client_ip: None }))
    }
}

pub async fn request_id(State(proxies): State<TrustedProxies>, mut request: Request, next: Next) -> Response {
    let id: Arc<str> = accepted(request.headers()).map_or_else(fresh, str::to_owned).into();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let client = peer.map(|peer| proxies.client(peer, request.headers()));
    request.extensions_mut().insert(RequestContext { request_id: Arc::clone(&id), client_ip: client });
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID.clone(), value);
    }
    response
}

fn fresh() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// The client's id, if it is safe in a log line.
fn accepted(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(&X_REQUEST_ID)?.to_str().ok()?;
    let harmless = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    harmless.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_ids_are_taken_over() {
        for (id, taken) in [("a-B-9", true), ("", false), ("a b", false), ("a\"b", false), (&"a".repeat(65), false)] {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID.clone(), id.parse().unwrap())]);
            assert_eq!(accepted(&headers), taken.then_some(id), "{id:?}");
        }
    }
}
