//! References to a commit of a repository.

use std::{fmt, str::FromStr};

/// A string that cannot refer to a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a branch, tag or commit; write it as main, v2026.9.6 or 40 hexadecimal digits")]
pub struct InvalidRef(pub String);

/// A branch, tag or commit, by git's own rules for names. Never something that a command could take for an option.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitRef(String);

impl GitRef {
    const LONGEST: usize = 200;

    pub fn parse(text: &str) -> Result<Self, InvalidRef> {
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
        let part = |part: &str| {
            let lock = part.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("lock"));
            !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with('.') && !lock
        };
        let valid = text.len() <= Self::LONGEST
            && text != "@"
            && !text.contains("..")
            && !text.contains("@{")
            && !text.contains(forbidden)
            && text.split('/').all(part);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidRef(text.to_owned())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The commit, if the reference is its id.
    pub fn commit(&self) -> Option<&str> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (self.0.len() == 40 && self.0.bytes().all(hex)).then_some(self.as_str())
    }

    /// Full names that it may mean, in order of precedence: branches before tags.
    pub fn candidates(&self) -> Vec<String> {
        if self.0 == "HEAD" || self.0.starts_with("refs/") {
            return vec![self.0.clone()];
        }
        vec![format!("refs/heads/{}", self.0), format!("refs/tags/{}", self.0)]
    }
}

impl FromStr for GitRef {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        Self::parse(text)
    }
}

impl fmt::Display for GitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_commits() {
        for good in ["main", "v2026.9.6", "feature/x", "HEAD", "refs/pull/1/head", &"a1".repeat(20)] {
            assert_eq!(GitRef::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(201);
        for bad in [
            "",
            "-x",
            "--upload-pack=evil",
            "a/-x",
            "a b",
            "a..b",
            "../x",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.",
            "a.lock",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "[a",
            "a\\b",
            "a\nb",
            "@",
            "a@{1}",
            &long,
        ] {
            assert!(GitRef::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_commit_is_known_by_its_digits() {
        assert!(GitRef::parse(&"a1".repeat(20)).unwrap().commit().is_some());
        assert!(GitRef::parse("a1").unwrap().commit().is_none());
        assert_eq!(GitRef::parse("v1").unwrap().candidates(), ["refs/heads/v1", "refs/tags/v1"]);
        assert_eq!(GitRef::parse("refs/tags/v1").unwrap().candidates(), ["refs/tags/v1"]);
    }
}
