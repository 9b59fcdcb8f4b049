//! What is sent to the engine to build from.

use tar::{Builder, EntryType, Header};

/// The Dockerfile, as it was when this binary was built.
pub const DOCKERFILE: &str = include_str!("../../../deploy/openclaw/Dockerfile");

/// The context as a tar archive: the Dockerfile and nothing else, the same bytes every time.
pub(super) fn archive() -> std::io::Result<Vec<u8>> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(DOCKERFILE.len() as u64);
    let mut archive = Builder::new(Vec::new());
    archive.append_data(&mut header, "Dockerfile", DOCKERFILE.as_bytes())?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_context_is_the_dockerfile() {
        let bytes = archive().unwrap();
        assert_eq!(bytes, archive().unwrap());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("Dockerfile"));
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(text, DOCKERFILE);
        assert!(entries.next().is_none());
    }

    /// What the build passes and checks has to be what the Dockerfile reads and writes.
    #[test]
    fn the_dockerfile_keeps_its_side_of_the_contract() {
        for line in ["ARG BASE_IMAGE", "ARG OPENCLAW_VERSION", "clawdeploy.openclaw.version=\"${OPENCLAW_VERSION}\""] {
            assert!(DOCKERFILE.contains(line), "{line}");
        }
        // Another front end would be code from elsewhere that runs the build.
        assert!(!DOCKERFILE.lines().any(|line| line.trim_start().starts_with("# syntax=")));
    }
}
