//! The UI: files that `build.rs` embeds in the program, and the index page for the UI's own paths.
//!
//! Files below `/assets/` have a content hash in their name and never change. All other files are revalidated on each
//! request. A path that is not a file gets the index page if a browser navigates to it. Programs, and all paths below
//! `/api/`, get the problem for an unknown path.

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};

/// A file of the UI.
#[derive(Debug)]
struct Asset {
    /// Relative to the root, without a leading slash.
    path: &'static str,
    /// Value of the `ETag` header.
    tag: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// Sorted by path. Empty if the UI was not built.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/web.rs"));

const INDEX: &str = "index.html";

/// Scripts are loaded only from our own files. Inline styles are needed by dialogs, which disable scrolling of the page
/// behind them, and by the terminal.
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_ANEW: HeaderValue = HeaderValue::from_static("no-cache");

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>ClawDeploy</title>\
    <h1>The UI was not built</h1><p>This program was compiled without it: run <code>npm ci &amp;&amp; npm run build</code> in \
    <code>api/web</code>, then compile again. The API works; it is described at <a href=\"/api/docs/\">/api/docs/</a>.";

/// The UI's response to a request that no route matches. `None`: the path does not belong to the UI.
pub fn answer(request: &Request) -> Option<Response> {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) || path.starts_with("/api/") || path == "/api" {
        return None;
    }
    let path = path.trim_start_matches('/');
    if let Some(asset) = find(path) {
        return Some(serve(asset, request.headers()));
    }
    // After an update, a browser may request a file that no longer exists. The index page must not be sent in its
    // place.
    let file = path.starts_with("assets/") || path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    if file || !wants_page(request.headers()) {
        return None;
    }
    Some(find(INDEX).map_or_else(
        || (StatusCode::NOT_FOUND, Html(NOT_BUILT)).into_response(),
        |index| serve(index, request.headers()),
    ))
}

fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.binary_search_by_key(&path, |asset| asset.path).ok().and_then(|index| ASSETS.get(index))
}

/// Whether a browser navigates to a page.
fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

fn serve(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let hashed = asset.path.starts_with("assets/");
    let (bytes, encoding) = match accepted(headers) {
        Accepted { brotli: true, .. } if asset.brotli.is_some() => (asset.brotli, Some("br")),
        Accepted { gzip: true, .. } if asset.gzip.is_some() => (asset.gzip, Some("gzip")),
        _ => (None, None),
    };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let fresh = known.flat_map(|value| value.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == asset.tag);
    let mut response = if fresh {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(Bytes::from_static(bytes.unwrap_or(asset.plain))))
    };
    let set = response.headers_mut();
    set.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(asset.path)));
    set.insert(header::CACHE_CONTROL, if hashed { FOREVER } else { ASK_ANEW });
    set.insert(header::ETAG, HeaderValue::from_static(asset.tag));
    set.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding.filter(|_| !fresh) {
        set.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if asset.path == INDEX {
        set.insert(header::CONTENT_SECURITY_POLICY, CSP);
    }
    response
}

#[derive(Debug, Default)]
struct Accepted {
    brotli: bool,
    gzip: bool,
}

fn accepted(headers: &HeaderMap) -> Accepted {
    let mut accepted = Accepted::default();
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in values.flat_map(|value| value.split(',')) {
        let mut words = coding.split(';').map(str::trim);
        let name = words.next().unwrap_or_default();
        // `q=0` excludes a coding.
        if words.any(|word| word.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0))) {
            continue;
        }
        match name {
            "br" => accepted.brotli = true,
            "gzip" => accepted.gzip = true,
            _ => {}
        }
    }
    accepted
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("woff") => "font/woff",
        Some("png") => "image/png",
        Some("json" | "map") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[test]
    fn every_address_of_the_ui_is_its_page() {
        for path in ["/", "/instances", "/instances/l82461og577v/logs", "/sign-in?to=%2Finstances"] {
            let response = answer(&get(path, &[BROWSER])).unwrap();
            let html = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
            assert_eq!(html, "text/html; charset=utf-8", "{path}");
        }
    }

    #[test]
    fn the_api_is_never_swallowed() {
        for path in ["/api", "/api/", "/api/nothing", "/api/instances/x/nothing"] {
            assert!(answer(&get(path, &[BROWSER])).is_none(), "{path}");
        }
    }

    #[test]
    fn programs_and_missing_files_get_no_page() {
        assert!(answer(&get("/instances", &[("accept", "*/*")])).is_none());
        assert!(answer(&get("/instances", &[])).is_none());
        for path in ["/assets/index-old.js", "/robots.txt", "/../Cargo.toml", "/assets/%2e%2e/index.html"] {
            assert!(answer(&get(path, &[BROWSER])).is_none(), "{path}");
        }
        let post =
            Request::builder().method("POST").uri("/").header("accept", "text/html").body(Body::empty()).unwrap();
        assert!(answer(&post).is_none());
    }

    #[test]
    fn files_are_found_and_cached_by_what_their_names_promise() {
        assert!(ASSETS.is_sorted_by_key(|asset| asset.path));
        for asset in ASSETS {
            let response = serve(find(asset.path).unwrap(), &HeaderMap::new());
            let cache = response.headers()[header::CACHE_CONTROL].to_str().unwrap();
            let forever = asset.path.starts_with("assets/");
            assert_eq!(cache.contains("immutable"), forever, "{}", asset.path);
            assert_ne!(response.headers()[header::CONTENT_TYPE], "application/octet-stream", "{}", asset.path);
            let again = get("/", &[("if-none-match", asset.tag)]);
            assert_eq!(serve(asset, again.headers()).status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[test]
    fn a_refused_coding_is_not_used() {
        let only = |value: &str| {
            let accepted = accepted(get("/", &[("accept-encoding", value)]).headers());
            (accepted.brotli, accepted.gzip)
        };
        assert_eq!(only("gzip, deflate, br, zstd"), (true, true));
        assert_eq!(only("gzip;q=0.5, br;q=0"), (false, true));
        assert_eq!(only("identity"), (false, false));
    }
}
