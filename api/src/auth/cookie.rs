//! The session cookie. Its name has the prefix `__Host-`: browsers accept such a cookie only from this exact host, over
//! HTTPS (or from this machine) and for all paths, so no subdomain can replace it.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};

/// nginx removes this cookie from requests to instances. If you change the name, change it there as well
/// (`deploy/nginx/templates/common.conf`).
pub const NAME: &str = "__Host-clawdeploy";

/// Holds a sign-in attempt while the browser is at the identity provider.
pub const OIDC: &str = "__Host-clawdeploy-oidc";

/// The cookie of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    Nothing,
    One(&'a str),
    /// There are several, for example because another page has set one, and the right one is not known.
    Several,
}

/// The session cookie of a request.
pub fn presented(headers: &HeaderMap) -> Presented<'_> {
    presented_named(headers, NAME)
}

pub fn presented_named<'a>(headers: &'a HeaderMap, name: &str) -> Presented<'a> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Presented::Nothing,
        (Some(value), None) => Presented::One(value),
        (Some(_), Some(_)) => Presented::Several,
    }
}

/// A `Set-Cookie` header with this value and lifetime.
pub fn set(value: &SecretString, lifetime: TimeDelta) -> HeaderValue {
    line(NAME, value.expose_secret(), lifetime.num_seconds())
}

pub fn set_named(name: &str, value: &SecretString, lifetime: Duration) -> HeaderValue {
    line(name, value.expose_secret(), i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
}

/// A `Set-Cookie` header that deletes the cookie.
pub fn clear() -> HeaderValue {
    clear_named(NAME)
}

pub fn clear_named(name: &str) -> HeaderValue {
    line(name, "", 0)
}

fn line(name: &str, value: &str, seconds: i64) -> HeaderValue {
    let line = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
    // Does not fail, because the values consist of letters, digits, dots and base64 characters.
    let mut line = HeaderValue::from_str(&line).unwrap_or(HeaderValue::from_static(""));
    line.set_sensitive(true);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&'static str]) -> String {
        let headers: HeaderMap = lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line))).collect();
        format!("{:?}", presented(&headers))
    }

    #[test]
    fn one_of_that_name_and_no_second() {
        assert_eq!(of(&[]), "Nothing");
        assert_eq!(of(&["a=b; __Host-clawdeployx=1; __host-clawdeploy=2"]), "Nothing");
        assert_eq!(of(&["a=b; __Host-clawdeploy=c0ffee ; d=e"]), "One(\"c0ffee\")");
        assert_eq!(of(&["__Host-clawdeploy=1; __Host-clawdeploy=1"]), "Several");
        assert_eq!(of(&["__Host-clawdeploy=1", "__Host-clawdeploy=2"]), "Several");
    }

    #[test]
    fn attributes() {
        assert_eq!(
            set(&"c0ffee".into(), TimeDelta::hours(1)).to_str().unwrap(),
            "__Host-clawdeploy=c0ffee; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax"
        );
        assert!(clear().to_str().unwrap().contains("=; Path=/; Max-Age=0;"));
    }
}
