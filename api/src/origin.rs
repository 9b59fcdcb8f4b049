//! Where a page may come from that opens a WebSocket.
//!
//! A browser sends cookies with a WebSocket whatever page opens it, and an instance's dashboard may be of the same site. So
//! the page's origin has to be the panel's own, to the letter. Only a browser tells it, and cannot tell another.

use axum::http::{HeaderMap, header};

use crate::error::{AppError, AppResult, ErrorCode};

/// The origin of an address as browsers write it: without path, default port and capitals.
pub fn of(url: &str) -> String {
    let url = url.trim().to_ascii_lowercase();
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let default = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}", authority.strip_suffix(default).unwrap_or(authority))
}

/// Refuses what does not come from a page of `origin`.
pub fn require(headers: &HeaderMap, origin: &str) -> AppResult<()> {
    let mut told = headers.get_all(header::ORIGIN).iter();
    match (told.next(), told.next()) {
        (Some(told), None) if told == origin => Ok(()),
        _ => {
            let detail = format!(
                "Only pages of {origin} may do this. If that is not where people open the panel, an administrator has to set CLAWDEPLOY_PUBLIC_URL."
            );
            Err(AppError::new(ErrorCode::OriginRefused, detail))
        }
    }
}

/// As [`require`], but programs, which show a token in a header as no page can, need not come from one.
pub fn require_of_browsers(headers: &HeaderMap, origin: &str) -> AppResult<()> {
    if headers.contains_key(header::AUTHORIZATION) && !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    require(headers, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_do() {
        for (url, origin) in [
            ("https://Panel.Example.com/", "https://panel.example.com"),
            ("https://panel.example.com:443/x?y", "https://panel.example.com"),
            ("https://panel.example.com:8443", "https://panel.example.com:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80/", "http://[::1]"),
        ] {
            assert_eq!(of(url), origin, "{url}");
        }
    }

    #[test]
    fn only_the_panels_own_pages() {
        let ours = "https://panel.example.com";
        let asked = |headers: &[(&str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
            (require(&map, ours).is_ok(), require_of_browsers(&map, ours).is_ok())
        };
        assert_eq!(asked(&[("origin", ours)]), (true, true));
        assert_eq!(asked(&[]), (false, false));
        assert_eq!(asked(&[("authorization", "Bearer claw_x")]), (false, true));
        for other in [
            "null",
            "http://panel.example.com",
            "https://panel.example.com:8443",
            "https://panel.example.com.evil.test",
            "https://abc.panel.example.com",
        ] {
            assert_eq!(asked(&[("origin", other)]), (false, false), "{other}");
            assert_eq!(asked(&[("origin", other), ("authorization", "Bearer claw_x")]), (false, false), "{other}");
        }
        assert_eq!(asked(&[("origin", ours), ("origin", ours)]), (false, false));
    }
}
