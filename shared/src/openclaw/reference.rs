//! Parses image references.

use std::{fmt, str::FromStr};

/// A string that is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an image reference; write it as openclaw:local, or name@sha256:digest")]
pub struct InvalidReference(pub String);

/// A repository with a tag or digest, such as `openclaw:local`. Without either it means `latest`, as usual with Docker.
/// With both, the digest decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    repository: String,
    tag: String,
    digest: Option<String>,
}

impl ImageReference {
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// `sha256:…`, if the reference has a digest.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Host of the registry, with its port if given. `None` for Docker Hub.
    pub fn registry(&self) -> Option<&str> {
        let (first, _) = self.repository.split_once('/')?;
        (first.contains(['.', ':']) || first == "localhost").then_some(first)
    }

    /// The same repository with a digest instead of the tag.
    #[must_use]
    pub fn at(&self, digest: &str) -> Self {
        Self { digest: Some(digest.to_owned()), ..self.clone() }
    }
}

/// Whether a text is a SHA-256 digest in a registry's format.
pub fn is_digest(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex))
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let start_of_name = name.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match name[start_of_name..].find(':') {
            Some(colon) => (&name[..start_of_name + colon], &name[start_of_name + colon + 1..]),
            None => (name, "latest"),
        };
        let starts_well = |part: &str| part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let repository_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/:".contains(&b);
        let tag_byte = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let ends_well = |part: &str| part.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let valid = repository.split('/').all(|part| starts_well(part) && ends_well(part))
            && !repository.contains("..")
            && repository.len() <= 255
            && repository.bytes().all(repository_byte)
            && starts_well(tag)
            && tag.len() <= 128
            && tag.bytes().all(tag_byte)
            && digest.is_none_or(is_digest);
        if valid {
            Ok(Self { repository: repository.to_owned(), tag: tag.to_owned(), digest: digest.map(str::to_owned) })
        } else {
            Err(InvalidReference(text.to_owned()))
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{}@{digest}", self.repository),
            None => write!(f, "{}:{}", self.repository, self.tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_apart() {
        for (text, repository, tag, registry) in [
            ("openclaw:local", "openclaw", "local", None),
            ("node:24-bookworm-slim", "node", "24-bookworm-slim", None),
            ("clawdeploy/base", "clawdeploy/base", "latest", None),
            (
                "registry.example:5000/team/openclaw:v1",
                "registry.example:5000/team/openclaw",
                "v1",
                Some("registry.example:5000"),
            ),
            (
                "registry.example:5000/openclaw",
                "registry.example:5000/openclaw",
                "latest",
                Some("registry.example:5000"),
            ),
            ("localhost/openclaw", "localhost/openclaw", "latest", Some("localhost")),
        ] {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!((reference.repository(), reference.tag()), (repository, tag), "{text}");
            assert_eq!(reference.registry(), registry, "{text}");
            assert_eq!(reference.digest(), None, "{text}");
        }
    }

    #[test]
    fn a_digest_decides() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for text in [format!("openclaw@{digest}"), format!("openclaw:v1@{digest}")] {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!(reference.digest(), Some(digest.as_str()));
            assert_eq!(reference.to_string(), format!("openclaw@{digest}"));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let upper = format!("a@sha256:{}", "A1".repeat(32));
        for bad in [
            "",
            ":",
            "a:",
            ":a",
            "a b",
            "A:local",
            "a//b",
            "/a",
            "a:-x",
            "a?x=1",
            "a:b:c",
            "a@sha256:0",
            "-a",
            "a@",
            "a../b",
            "a..b/c",
            "a./b",
            "a:/b",
            &upper,
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad:?}");
        }
    }
}
