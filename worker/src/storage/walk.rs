//! Walks a tree of a tenant's making without changing it.
//!
//! A tree may be deeper than there are file descriptors or stack, and a directory wider than memory. So only the
//! current directory is open; of those above it, only their identity and the position are kept. The way back is `..`,
//! which no flag of openat2 guards: it must lead to the very directory that we came from, or the walk ends.

use std::{
    collections::HashSet,
    ffi::{CStr, CString},
    mem::MaybeUninit,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom, Stat},
    io::Errno,
};
use tokio_util::sync::CancellationToken;

use super::{
    dir::openat2,
    error::{StorageError, at},
};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Bytes of a directory read at once. Small, because they are read again after each subdirectory.
const READ: usize = 4096;
/// Hard-linked files that are remembered to count them once. Beyond that each name counts.
const REMEMBERED: usize = 1 << 20;

/// Called for each entry of a tree once.
pub(super) trait Visitor {
    /// A directory, before its content. The next entries are in it.
    fn enter(&mut self, name: &CStr, stat: &Stat) -> Result<(), StorageError>;
    /// The directory entered last, after its content. `top`: the start of the walk.
    fn leave(&mut self, stat: &Stat, top: bool) -> Result<(), StorageError>;
    /// Anything else, in the open directory `parent`.
    fn entry(&mut self, parent: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), StorageError>;
}

struct Level {
    stat: Stat,
    /// Position of the next entry in the directory.
    next: u64,
}

/// Shows the visitor everything below `top`. Entries that vanish in the meantime are skipped.
pub(super) fn walk(top: OwnedFd, cancel: &CancellationToken, visitor: &mut impl Visitor) -> Result<(), StorageError> {
    let mut above = Vec::new();
    let mut here = Level { stat: stat_of(&top)?, next: 0 };
    let mut dir = top;
    loop {
        if let Some((name, child)) = next_directory(&dir, &mut here, cancel, visitor)? {
            let stat = stat_of(&child)?;
            visitor.enter(&name, &stat)?;
            above.push(std::mem::replace(&mut here, Level { stat, next: 0 }));
            dir = child;
        } else {
            visitor.leave(&here.stat, above.is_empty())?;
            let Some(parent) = above.pop() else { return Ok(()) };
            dir = up(&dir)?;
            let found = stat_of(&dir)?;
            if (found.st_dev, found.st_ino) != (parent.stat.st_dev, parent.stat.st_ino) {
                return Err(StorageError::Unsafe { path: "a directory".to_owned(), what: "being moved" });
            }
            here = parent;
        }
    }
}

/// Shows entries up to the next directory, which is opened.
fn next_directory(
    dir: &OwnedFd,
    level: &mut Level,
    cancel: &CancellationToken,
    visitor: &mut impl Visitor,
) -> Result<Option<(CString, OwnedFd)>, StorageError> {
    let list = |errno| at("list", "a directory")(errno);
    rustix::fs::seek(dir, SeekFrom::Start(level.next)).map_err(list)?;
    let mut buffer = [MaybeUninit::uninit(); READ];
    let mut entries = RawDir::new(dir.as_fd(), &mut buffer);
    while let Some(entry) = entries.next() {
        if cancel.is_cancelled() {
            return Err(StorageError::Cancelled);
        }
        let entry = match entry {
            Ok(entry) => entry,
            // The directory itself was removed.
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(list(errno)),
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(at("look at", shown(name))(errno)),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            visitor.entry(dir, name, &stat)?;
            continue;
        }
        match openat2(dir, name, DIRECTORY, Mode::empty()) {
            Ok(child) => {
                level.next = entry.next_entry_cookie();
                return Ok(Some((name.to_owned(), child)));
            }
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(changing(name)),
            Err(Errno::XDEV) => {
                return Err(StorageError::Unsafe { path: shown(name), what: "a mount point" });
            }
            Err(errno) => return Err(at("open", shown(name))(errno)),
        }
    }
    Ok(None)
}

/// Opens the parent directory. The caller checks that it is the right one.
pub(super) fn up(dir: &OwnedFd) -> Result<OwnedFd, StorageError> {
    rustix::fs::openat(dir, c"..", DIRECTORY, Mode::empty()).map_err(at("open", ".."))
}

fn stat_of(dir: &OwnedFd) -> Result<Stat, StorageError> {
    rustix::fs::fstat(dir).map_err(at("look at", "a directory"))
}

/// A tenant-chosen name, safe for a message.
pub(super) fn shown(name: &CStr) -> String {
    name.to_string_lossy().escape_debug().to_string()
}

pub(super) fn changing(name: &CStr) -> StorageError {
    StorageError::Unsafe { path: shown(name), what: "changing while it is read" }
}

/// Counts the content of a tree.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Plain files and symbolic links.
    pub(super) files: u64,
    /// Apparent size of plain files, in bytes.
    pub(super) bytes: u64,
    /// Bytes on disk of everything, directories included.
    pub(super) allocated: u64,
    linked: HashSet<u64>,
}

impl Tally {
    /// A file with several names counts as several files, but its bytes only once.
    pub(super) fn count(&mut self, stat: &Stat) {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if matches!(kind, FileType::RegularFile | FileType::Symlink) {
            self.files += 1;
        }
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if self.linked.contains(&stat.st_ino) {
                return;
            }
            if self.linked.len() < REMEMBERED {
                self.linked.insert(stat.st_ino);
            }
        }
        // Saturating: tenants choose sizes, and a few sparse files exceed 64 bits.
        if kind == FileType::RegularFile {
            self.bytes = self.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        self.allocated = self.allocated.saturating_add(blocks.saturating_mul(512));
    }
}

impl Visitor for Tally {
    fn enter(&mut self, _: &CStr, stat: &Stat) -> Result<(), StorageError> {
        self.count(stat);
        Ok(())
    }

    fn leave(&mut self, _: &Stat, _: bool) -> Result<(), StorageError> {
        Ok(())
    }

    fn entry(&mut self, _: &OwnedFd, _: &CStr, stat: &Stat) -> Result<(), StorageError> {
        self.count(stat);
        Ok(())
    }
}
