//! Releases of OpenClaw.

use std::{fmt, str::FromStr};

use semver::Version;

/// A string that is not a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an OpenClaw version; write it as 2026.9.6")]
pub struct InvalidVersion(pub String);

/// Version of a release, such as `2026.9.6` or `2026.9.7-beta.1`: a digit, then digits, letters, dots and dashes, at
/// most 40 characters.
///
/// It is used in a build argument, a tag and a command line, and needs no escaping in any of them. Moving names
/// (`latest`) are not versions: two builds of one could differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OpenclawVersion(String);

impl OpenclawVersion {
    const LONGEST: usize = 40;

    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        let valid = text.len() <= Self::LONGEST
            && text.bytes().next().is_some_and(|first| first.is_ascii_digit())
            && text.bytes().all(allowed);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidVersion(text.to_owned())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OpenclawVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        Self::parse(text)
    }
}

impl fmt::Display for OpenclawVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a version can be ordered.
pub fn is_comparable(version: &str) -> bool {
    Version::parse(version).is_ok()
}

/// Whether a version comes before another. False if either cannot be ordered (a commit, a custom version).
pub fn is_older(version: &str, than: &str) -> bool {
    match (Version::parse(version), Version::parse(than)) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_parse_and_nothing_else() {
        for good in ["2026.9.6", "2026.9.7-beta.1", "1"] {
            assert_eq!(OpenclawVersion::parse(good).unwrap().as_str(), good);
        }
        let long = "1".repeat(41);
        for bad in ["", "latest", "-1", ".1", "1 2", "1;rm", "1\n", "1/2", "1@2", "^1", "1+2", "１", &long] {
            assert!(OpenclawVersion::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn order() {
        assert!(is_older("2026.9.6", "2026.10.1"));
        assert!(is_older("2026.9.7-beta.1", "2026.9.7"));
        assert!(!is_older("2026.9.7", "2026.9.7"));
        assert!(!is_older("2026.10.1", "2026.9.30"));
        assert!(!is_older("main", "2026.9.7"));
    }
}
