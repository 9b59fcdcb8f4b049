//! A walk through a tree whose shape a tenant chose, without changing it.
//!
//! A tree may be deeper than there are handles or stack, and a directory wider than there is memory. So only the
//! directory that is being read is open; of those above it nothing is kept but what they are and how far they were
//! read. The way back is `..`, which no flag of openat2 guards: what it leads to must be the very directory that we
//! came down from, or the walk ends.

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
/// Bytes of a directory that are read at once. Small, as they are read anew after each directory that lies in it.
const READ: usize = 4096;
/// Hard-linked files that are remembered in order to count them once; from then on each name counts.
const REMEMBERED: usize = 1 << 20;

/// Sees each entry of a tree once.
pub(super) trait Visitor {
    /// A directory, before what is in it. The next entries are those of it.
    fn enter(&mut self, name: &CStr, stat: &Stat) -> Result<(), StorageError>;
    /// The directory that was entered last, after what is in it; `top` where it is the one the walk began with.
    fn leave(&mut self, stat: &Stat, top: bool) -> Result<(), StorageError>;
    /// Anything else, in the open directory `parent`.
    fn entry(&mut self, parent: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), StorageError>;
}

struct Level {
    stat: Stat,
    /// Where in the directory the next entry is.
    next: u64,
}

/// Shows the visitor all that is below `top`. What vanishes meanwhile is left out.
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

/// Shows what is no directory, up to the next directory, which is opened.
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

/// The directory above; whether it is the right one is for the caller to look at.
pub(super) fn up(dir: &OwnedFd) -> Result<OwnedFd, StorageError> {
    rustix::fs::openat(dir, c"..", DIRECTORY, Mode::empty()).map_err(at("open", ".."))
}

fn stat_of(dir: &OwnedFd) -> Result<Stat, StorageError> {
    rustix::fs::fstat(dir).map_err(at("look at", "a directory"))
}

/// A name that a tenant chose, fit for a message.
pub(super) fn shown(name: &CStr) -> String {
    name.to_string_lossy().escape_debug().to_string()
}

pub(super) fn changing(name: &CStr) -> StorageError {
    StorageError::Unsafe { path: shown(name), what: "changing while it is read" }
}

/// Counts what a tree holds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Plain files and symbolic links.
    pub(super) files: u64,
    /// Apparent bytes of plain files.
    pub(super) bytes: u64,
    /// Bytes on disk of all there is, in directories too.
    pub(super) allocated: u64,
    linked: HashSet<u64>,
}

impl Tally {
    /// A file with many names counts as so many files, but its bytes only once.
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
        // Saturating: sizes are the tenant's to choose, a few sparse files add up to more than there is.
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
