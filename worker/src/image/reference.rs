//! The name of an image, taken apart.

use std::{fmt, str::FromStr};

/// A string that cannot name an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an image reference; write it as openclaw:local")]
pub struct InvalidReference(pub String);

/// A repository and a tag, `openclaw:local`. Without a tag it means `latest`, as everywhere with Docker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    repository: String,
    tag: String,
}

impl ImageReference {
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        // A colon before the last slash belongs to the registry's port.
        let start_of_name = text.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match text[start_of_name..].find(':') {
            Some(colon) => (&text[..start_of_name + colon], &text[start_of_name + colon + 1..]),
            None => (text, "latest"),
        };
        let starts_well = |part: &str| part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let repository_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/:".contains(&b);
        let tag_byte = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let valid = repository.split('/').all(starts_well)
            && repository.len() <= 255
            && repository.bytes().all(repository_byte)
            && starts_well(tag)
            && tag.len() <= 128
            && tag.bytes().all(tag_byte);
        if valid {
            Ok(Self { repository: repository.to_owned(), tag: tag.to_owned() })
        } else {
            Err(InvalidReference(text.to_owned()))
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_apart() {
        for (text, repository, tag) in [
            ("openclaw:local", "openclaw", "local"),
            ("node:24-bookworm-slim", "node", "24-bookworm-slim"),
            ("clawdeploy/base", "clawdeploy/base", "latest"),
            ("registry.example:5000/team/openclaw:v1", "registry.example:5000/team/openclaw", "v1"),
            ("registry.example:5000/openclaw", "registry.example:5000/openclaw", "latest"),
        ] {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!((reference.repository(), reference.tag()), (repository, tag), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", ":", "a:", ":a", "a b", "A:local", "a//b", "/a", "a:-x", "a?x=1", "a:b:c", "a@sha256:0", "-a"] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad:?}");
        }
    }
}
