//! The context of a build that consists of a Dockerfile only.

use std::io::{self, Seek as _, SeekFrom};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// The Dockerfile of a release, from when this binary was built.
pub const DOCKERFILE: &str = include_str!("../../../deploy/openclaw/Dockerfile");

/// Identifies this version of the Dockerfile.
pub(super) fn recipe() -> String {
    hex::encode(&Sha256::digest(DOCKERFILE.as_bytes())[..6])
}

/// A tar archive with only a Dockerfile, always the same bytes.
pub(super) fn archive(dockerfile: &str) -> io::Result<std::fs::File> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(dockerfile.len() as u64);
    let mut archive = Builder::new(tempfile::tempfile()?);
    archive.append_data(&mut header, "Dockerfile", dockerfile.as_bytes())?;
    let mut file = archive.into_inner()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_context_is_the_dockerfile() {
        let mut archive = tar::Archive::new(archive(DOCKERFILE).unwrap());
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("Dockerfile"));
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(text, DOCKERFILE);
        assert!(entries.next().is_none());
    }

    /// The build must pass and check what the Dockerfile reads and writes.
    #[test]
    fn the_dockerfile_keeps_its_side_of_the_contract() {
        for line in [
            "ARG BASE_IMAGE",
            "ARG OPENCLAW_VERSION",
            "clawdeploy.openclaw.version=\"${OPENCLAW_VERSION}\"",
            "clawdeploy.deployment=\"${DEPLOYMENT}\"",
        ] {
            assert!(DOCKERFILE.contains(line), "{line}");
        }
        // Another front end would be foreign code that runs the build.
        assert_eq!(super::super::dockerfile::look(DOCKERFILE).unwrap(), super::super::dockerfile::Needs::Classic);
    }
}
