//! Protects against cross-site request forgery.
//!
//! A browser sends the cookie with requests from any page, so a change must come from a page of the panel. Instances'
//! pages may be on the same site as the panel, so only the same origin is accepted. Requests with an `Authorization`
//! header are not checked, because a browser never adds a bearer token by itself.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    auth::cookie::{self, Presented},
    error::{AppError, AppResult, ErrorCode},
};

const FETCH_SITE: &str = "sec-fetch-site";

/// The panel's own origin: that of the public URL or, if none is set, the requested host.
#[derive(Debug, Clone, Default)]
pub struct OwnOrigin(Option<Arc<str>>);

impl OwnOrigin {
    pub fn new(public_url: Option<&str>) -> Self {
        Self(public_url.and_then(origin_of).map(Into::into))
    }

    /// Whether the request was made by a page of the panel. `None`: its headers do not say.
    fn made(&self, headers: &HeaderMap) -> Option<bool> {
        if let Some(site) = headers.get(FETCH_SITE) {
            return Some(site == "same-origin");
        }
        headers.get(header::ORIGIN).map(|origin| origin.to_str().is_ok_and(|origin| self.is(origin, headers)))
    }

    /// Refuses a WebSocket that was not opened by a page of the panel. The browser sends the cookie with it, and only
    /// `Origin` shows which page opened it. Browsers always send that header, and pages cannot change it.
    pub fn require(&self, headers: &HeaderMap) -> AppResult<()> {
        let mut told = headers.get_all(header::ORIGIN).iter();
        match (told.next().map(|origin| origin.to_str()), told.next()) {
            (Some(Ok(origin)), None) if self.is(origin, headers) => Ok(()),
            _ => {
                let detail = "Only pages of the panel may do this. If this page is one, an administrator must set \
                              CLAWDEPLOY_PUBLIC_URL to the panel's URL.";
                Err(AppError::new(ErrorCode::OriginRefused, detail))
            }
        }
    }

    /// Like [`Self::require`], but accepts programs that send a token in a header, which pages cannot do for a
    /// WebSocket.
    pub fn require_of_browsers(&self, headers: &HeaderMap) -> AppResult<()> {
        if headers.contains_key(header::AUTHORIZATION) && !headers.contains_key(header::ORIGIN) {
            return Ok(());
        }
        self.require(headers)
    }

    /// Whether an `Origin` is exactly the panel's.
    fn is(&self, origin: &str, headers: &HeaderMap) -> bool {
        if let Some(own) = &self.0 {
            return origin == &**own;
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let without_scheme = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && without_scheme == Some(host))
    }
}

/// The origin of a URL: `https://panel.example.com` for `https://panel.example.com/x`.
fn origin_of(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let (scheme, host) = (url.scheme_str()?, url.host()?.to_ascii_lowercase());
    Some(match (scheme, url.port_u16()) {
        (_, None) | ("https", Some(443)) | ("http", Some(80)) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}

pub(super) async fn origin(State(own): State<OwnOrigin>, request: Request, next: Next) -> Response {
    if is_refused(&own, request.method(), request.headers()) {
        let detail = "The request comes from a page of another site, or does not say where it comes from: it needs the \
                      header Sec-Fetch-Site: same-origin, or the Origin of this site. Programs send a token instead of \
                      a cookie.";
        return AppError::new(ErrorCode::CrossSite, detail).into_response();
    }
    next.run(request).await
}

fn is_refused(own: &OwnOrigin, method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || headers.contains_key(header::AUTHORIZATION) {
        return false;
    }
    match own.made(headers) {
        Some(ours) => !ours,
        // Not a browser. A program that signs in has no cookie yet.
        None => cookie::presented(headers) != Presented::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(public_url: Option<&str>, method: &Method, lines: &[(&str, &str)]) -> bool {
        let headers = lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let mut headers: HeaderMap = headers.collect();
        headers.insert(header::HOST, "panel.test:8443".parse().unwrap());
        is_refused(&OwnOrigin::new(public_url), method, &headers)
    }

    #[test]
    fn only_our_own_pages_change_anything() {
        let cookie = ("cookie", "__Host-clawdeploy=1");
        for url in [None, Some("https://Panel.test:8443/")] {
            let post = |lines: &[(&str, &str)]| refused(url, &Method::POST, lines);
            assert!(!post(&[cookie, ("sec-fetch-site", "same-origin")]));
            assert!(!post(&[cookie, ("origin", "https://panel.test:8443")]));
            for site in ["cross-site", "same-site", "none", ""] {
                assert!(post(&[("sec-fetch-site", site)]), "{site}");
                assert!(post(&[("sec-fetch-site", site), ("origin", "https://panel.test:8443")]), "{site}");
            }
            for origin in [
                "null",
                "",
                "https://panel.test",
                "https://panel.test:8444",
                "https://panel.test.:8443",
                "https://PANEL.test:8443",
                "https://panel.test:8443.evil.test",
                "https://panel.test:8443/",
                "https://a.panel.test:8443",
                "https://evil.test#panel.test:8443",
                "wss://panel.test:8443",
            ] {
                assert!(post(&[("origin", origin)]), "{origin}");
            }
            assert!(post(&[cookie]), "a cookie and nothing that tells");
            assert!(!post(&[]), "a program that signs in");
            assert!(!post(&[cookie, ("authorization", "Bearer x"), ("origin", "https://evil.test")]));
            assert!(!refused(url, &Method::GET, &[cookie, ("sec-fetch-site", "cross-site")]));
        }
        assert!(refused(Some("https://panel.test:8443"), &Method::DELETE, &[("origin", "http://panel.test:8443")]));
    }

    #[test]
    fn only_our_own_pages_open_web_sockets() {
        let own = OwnOrigin::new(Some("https://panel.test"));
        let asked = |lines: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
            (own.require(&headers).is_ok(), own.require_of_browsers(&headers).is_ok())
        };
        let (ours, token) = (("origin", "https://panel.test"), ("authorization", "Bearer claw_x"));
        assert_eq!(asked(&[ours]), (true, true));
        assert_eq!(asked(&[]), (false, false));
        assert_eq!(asked(&[token]), (false, true));
        assert_eq!(asked(&[ours, ("origin", "https://evil.test")]), (false, false));
        for other in ["null", "http://panel.test", "https://panel.test:8443", "https://panel.test.evil.test"] {
            assert_eq!(asked(&[("origin", other)]), (false, false), "{other}");
            assert_eq!(asked(&[("origin", other), token]), (false, false), "{other}");
        }
    }

    #[test]
    fn the_origin_of_a_url() {
        for (url, origin) in [
            ("https://panel.test", "https://panel.test"),
            ("https://panel.test:443/x?y", "https://panel.test"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80/", "http://[::1]"),
        ] {
            assert_eq!(origin_of(url).as_deref(), Some(origin));
        }
        assert_eq!(origin_of("panel.test"), None);
    }
}
