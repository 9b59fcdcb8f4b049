//! Deletes a tree of a tenant's making.
//!
//! The standard library's `remove_dir_all` is safe against links but holds one open directory and one stack frame per
//! level: a tree ten thousand levels deep, which a tenant makes in a second, exhausts the worker's file descriptors or
//! stack. Here lower levels are raised instead: what is below a directory is moved beside it and deleted from there, so
//! that at most three directories are open at any depth.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::dir::openat2;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Names in a directory of ours. Names that are not UTF-8 are not ours and are skipped.
pub(super) fn names(dir: &OwnedFd) -> Result<Vec<String>, Errno> {
    names_starting_with(dir, "", usize::MAX)
}

/// Names with a prefix, among the first `scan` entries.
pub(super) fn names_starting_with(dir: &OwnedFd, prefix: &str, scan: usize) -> Result<Vec<String>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)?.take(scan) {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) if name.starts_with(prefix) => found.push(name.to_owned()),
            Ok(_) => {}
        }
    }
    Ok(found)
}

/// Deletes a directory and everything below it. A missing one counts as done. Nothing may be adding to it.
pub(super) fn tree(parent: &OwnedFd, name: &str) -> Result<(), Errno> {
    let top = match openat2(parent, name, DIRECTORY, Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return missing_is_fine(rustix::fs::unlinkat(parent, name, AtFlags::empty()));
        }
        Err(errno) => return Err(errno),
    };
    // Names for raised directories. Random, so that a tenant cannot block them.
    let mut risen = Risen { prefix: rand::random(), count: 0 };
    loop {
        let mut removed = 0_usize;
        for (child, kind) in entries(&top)? {
            if kind != FileType::Directory && unlinked(&top, &child)? {
                removed += 1;
                continue;
            }
            raise_below(&top, &child, &mut risen)?;
            missing_is_fine(rustix::fs::unlinkat(&top, &child, AtFlags::REMOVEDIR))?;
            removed += 1;
        }
        if removed == 0 {
            break;
        }
    }
    missing_is_fine(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
}

struct Risen {
    prefix: u64,
    count: u64,
}

/// Empties the directory `child` of `top`: deletes files, and moves directories up to `top`.
fn raise_below(top: &OwnedFd, child: &CStr, risen: &mut Risen) -> Result<(), Errno> {
    let dir = match openat2(top, child, DIRECTORY, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    loop {
        let found = entries(&dir)?;
        if found.is_empty() {
            return Ok(());
        }
        for (entry, kind) in found {
            if kind != FileType::Directory && unlinked(&dir, &entry)? {
                continue;
            }
            let up = format!("{:016x}-{}", risen.prefix, risen.count);
            risen.count += 1;
            missing_is_fine(rustix::fs::renameat_with(&dir, &entry, top, &up, RenameFlags::NOREPLACE))?;
        }
    }
}

/// Entries read from a directory at once. A tenant's may hold millions.
const BATCH: usize = 4096;

fn entries(dir: impl AsFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            found.push((entry.file_name().to_owned(), entry.file_type()));
            if found.len() == BATCH {
                break;
            }
        }
    }
    Ok(found)
}

/// Unlinks anything but a directory. False: it is a directory, on file systems that do not tell beforehand.
fn unlinked(dir: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn missing_is_fine(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
