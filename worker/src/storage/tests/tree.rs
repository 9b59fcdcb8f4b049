//! Comparing trees, and trees that are hard to copy.

use std::{ffi::CStr, fs::File, os::unix::fs::FileExt as _};

use rustix::fs::Stat;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::storage::walk::{Visitor, walk};

/// A digest of a tree: paths, kinds, modes, owners, link targets and contents, but no times.
pub(super) fn tree_hash(top: &Path) -> String {
    let top = dir::open_root(top).unwrap();
    let mut lines = Lines { path: Vec::new(), found: Vec::new() };
    walk(top, &CancellationToken::new(), &mut lines).unwrap();
    lines.found.sort();
    let mut digest = Sha256::new();
    for line in lines.found {
        digest.update(u64::try_from(line.len()).unwrap().to_le_bytes());
        digest.update(line);
    }
    hex::encode(digest.finalize())
}

struct Lines {
    path: Vec<u8>,
    found: Vec<Vec<u8>>,
}

impl Lines {
    fn add(&mut self, name: &[u8], stat: &Stat, content: &[u8]) {
        let head = format!("\0{:o} {} {} {} ", stat.st_mode, stat.st_uid, stat.st_gid, content.len());
        self.found.push([&self.path, name, head.as_bytes(), content].concat());
    }
}

impl Visitor for Lines {
    fn enter(&mut self, name: &CStr, stat: &Stat) -> Result<(), StorageError> {
        self.add(name.to_bytes(), stat, b"");
        self.path.extend_from_slice(name.to_bytes());
        self.path.push(b'/');
        Ok(())
    }

    fn leave(&mut self, stat: &Stat, top: bool) -> Result<(), StorageError> {
        if top {
            self.add(b".", stat, b"");
        } else {
            self.path.pop();
            let end = self.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            self.path.truncate(end);
        }
        Ok(())
    }

    fn entry(&mut self, parent: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), StorageError> {
        let content = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => rustix::fs::readlinkat(parent, name, Vec::new()).unwrap().into_bytes(),
            FileType::RegularFile => {
                data_of(&File::from(rustix::fs::openat(parent, name, OFlags::RDONLY, Mode::empty()).unwrap()))
            }
            _ => Vec::new(),
        };
        self.add(name.to_bytes(), stat, &content);
        Ok(())
    }
}

/// The size of a file and its bytes with their positions, without holes.
fn data_of(file: &File) -> Vec<u8> {
    use rustix::fs::SeekFrom;
    let size = file.metadata().unwrap().len();
    let mut data = size.to_le_bytes().to_vec();
    let mut at = 0;
    while let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(at)) {
        at = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap();
        let mut bytes = vec![0; usize::try_from(at - start).unwrap()];
        file.read_exact_at(&mut bytes, start).unwrap();
        data.extend_from_slice(&start.to_le_bytes());
        data.extend_from_slice(&bytes);
    }
    data
}

/// A chain of directories, deeper than a path can name, with a file in the last.
pub(super) fn deep(top: &Path, levels: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut dir = rustix::fs::open(top, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        rustix::fs::mkdirat(&dir, "d", Mode::from_raw_mode(0o755)).unwrap();
        dir = rustix::fs::openat(&dir, "d", flags, Mode::empty()).unwrap();
    }
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = rustix::fs::openat(&dir, "bottom", flags, Mode::from_raw_mode(0o600)).unwrap();
    File::from(file).write_all_at(b"deep", 0).unwrap();
}

/// A file of this size with four bytes at its start, middle and end.
pub(super) fn sparse(path: &Path, size: u64) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (at, bytes) in [(0, b"head"), (size / 2, b"half"), (size - 4, b"tail")] {
        file.write_all_at(bytes, at).unwrap();
    }
}
