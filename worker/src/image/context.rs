//! The context of a build whose files are part of this binary.

use std::io::{self, Seek as _, SeekFrom};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::layer;

/// The Dockerfile of a release, from when this binary was built.
pub const DOCKERFILE: &str = include_str!("../../../deploy/openclaw/Dockerfile");

/// Identifies this version of what makes an image of a release: the Dockerfile and the layer after it.
pub(super) fn recipe() -> String {
    let mut hash = Sha256::new_with_prefix(DOCKERFILE);
    for part in layer::recipe() {
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..6])
}

/// A tar archive with these files, always the same bytes.
pub(super) fn archive(files: &[(&str, &str)]) -> io::Result<std::fs::File> {
    let mut archive = Builder::new(tempfile::tempfile()?);
    for (path, text) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, path, text.as_bytes())?;
    }
    let mut file = archive.into_inner()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_context_is_these_files() {
        let files = [("Dockerfile", DOCKERFILE), ("some/file", "text")];
        let mut archive = tar::Archive::new(archive(&files).unwrap());
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        assert_eq!(found, files.map(|(path, text)| (path.to_owned(), text.to_owned())));
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
