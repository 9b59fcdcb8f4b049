//! Operations on open directories.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Uid, flock},
    io::Errno,
};

use super::{
    error::{StorageError, at},
    remove,
};

/// User and group that a gateway runs as.
pub(super) const TENANT: u32 = 1000;

/// Refuses links, mount points and anything outside of the start directory.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// How a file is opened for reading. Non-blocking: opening a FIFO would otherwise wait forever for its other end.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// Longest file name that we read or write. With the temporary suffix it stays below the system's 255.
const NAME_CAP: usize = 100;
/// Most directory entries searched for leftovers. A tenant may have created any number.
const LEFTOVER_SCAN: usize = 10_000;
/// Most temporary files that are created for one write. One is lost only to a writer that begins in the same instant.
const CREATE_ATTEMPTS: u32 = 10;

pub(super) fn open_root(path: &Path) -> Result<OwnedFd, StorageError> {
    rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(at("open", path))
}

/// Opens a directory beneath another.
pub(super) fn open(parent: impl AsFd, path: &str) -> Result<OwnedFd, StorageError> {
    openat2(parent, path, DIRECTORY, Mode::empty()).map_err(|errno| refused(errno, path))
}

/// Creates a directory or opens the existing one, and sets its mode and owner.
pub(super) fn make(parent: &OwnedFd, name: &str, mode: u32, owner: Option<u32>) -> Result<OwnedFd, StorageError> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(at("make the directory", name)(errno)),
    }
    let dir = open(parent, name)?;
    if let Some(owner) = owner {
        give(&dir, owner).map_err(at("change the owner of", name))?;
    }
    set_mode(&dir, mode).map_err(at("set the mode of", name))?;
    Ok(dir)
}

pub(super) fn set_mode(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
}

pub(super) fn sync(dir: &OwnedFd, name: &str) -> Result<(), StorageError> {
    rustix::fs::fsync(dir).map_err(at("write to disk", name))
}

/// Whether a directory exists.
pub(super) fn is_there(parent: &OwnedFd, name: &str) -> Result<bool, StorageError> {
    match open(parent, name) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name that cannot leave its directory.
pub(super) fn checked(name: &str) -> Result<String, StorageError> {
    let plain = !name.is_empty()
        && name.len() <= NAME_CAP
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if plain { Ok(name.to_owned()) } else { Err(StorageError::BadName(name.to_owned())) }
}

/// Writes a file for the tenant under a temporary name, then renames it to `name`.
pub(super) fn write_file(dir: &OwnedFd, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
    replace(dir, name, bytes, Some(TENANT))
}

/// The same for a file that the worker owns.
pub(super) fn write_own_file(dir: &OwnedFd, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
    replace(dir, name, bytes, None)
}

fn replace(dir: &OwnedFd, name: &str, bytes: &[u8], owner: Option<u32>) -> Result<(), StorageError> {
    let leftover = format!(".{name}.new-");
    for stale in remove::names_starting_with(dir, &leftover, LEFTOVER_SCAN).map_err(at("list", name))? {
        remove_leftover(dir, &stale);
    }
    let (temporary, file) = create_locked(dir, &leftover).map_err(at("write", name))?;
    let written = fill(&file, bytes, owner)
        .and_then(|()| rustix::fs::renameat_with(dir, &temporary, dir, name, RenameFlags::empty()).map_err(Into::into));
    if let Err(source) = written {
        let _ = rustix::fs::unlinkat(dir, &temporary, AtFlags::empty());
        return Err(at("write", name)(source));
    }
    sync(dir, name)
}

/// Removes a temporary file whose writer is gone. One that is locked has a writer.
///
/// What cannot be opened or unlinked is the tenant's and not a leftover of ours.
fn remove_leftover(dir: &OwnedFd, name: &str) {
    let Ok(file) = openat2(dir, name, READ, Mode::empty()) else { return };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
    }
}

/// Creates a temporary file, locked until it is closed.
///
/// Two writers never share a name. Otherwise one that lost its lease could publish the other's half-written file.
fn create_locked(dir: &OwnedFd, prefix: &str) -> Result<(String, File), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..CREATE_ATTEMPTS {
        let name = format!("{prefix}{:016x}", rand::random::<u64>());
        let file = File::from(openat2(dir, &name, flags, Mode::from_raw_mode(0o600))?);
        flock(&file, FlockOperation::LockExclusive)?;
        // Another writer may have taken it for a leftover before it was locked.
        if rustix::fs::fstat(&file)?.st_nlink > 0 {
            return Ok((name, file));
        }
    }
    Err(Errno::AGAIN)
}

fn fill(mut file: &File, bytes: &[u8], owner: Option<u32>) -> std::io::Result<()> {
    file.write_all(bytes)?;
    set_mode(file, 0o600)?;
    if let Some(owner) = owner {
        give(file, owner)?;
    }
    file.sync_all()
}

/// Renames an entry to a name with the current time.
pub(super) fn keep(dir: &OwnedFd, name: &str) -> Result<String, StorageError> {
    let kept = format!("{name}.kept-{}", chrono::Utc::now().format("%Y%m%dT%H%M%SZ"));
    let moved = |to: &str| rustix::fs::renameat_with(dir, name, dir, to, RenameFlags::NOREPLACE);
    match moved(&kept) {
        Ok(()) => Ok(kept),
        Err(Errno::EXIST) => {
            let kept = format!("{kept}-{:08x}", rand::random::<u32>());
            moved(&kept).map_err(at("rename", name))?;
            Ok(kept)
        }
        Err(errno) => Err(at("rename", name)(errno)),
    }
}

/// Reads a plain file that has one name and at most `cap` bytes. `None`: nothing is there.
pub(super) fn read_file(root: &OwnedFd, path: &str, cap: u64) -> Result<Option<Vec<u8>>, StorageError> {
    let file = match openat2(root, path, READ, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(refused(errno, path)),
    };
    let stat = rustix::fs::fstat(&file).map_err(at("look at", path))?;
    let not = |what| StorageError::Unsafe { path: path.to_owned(), what };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(not("not a plain file"));
    }
    // A second name may belong to a file that the tenant must not see.
    if stat.st_nlink > 1 {
        return Err(not("hard-linked"));
    }
    let mut bytes = Vec::new();
    File::from(file).take(cap.saturating_add(1)).read_to_end(&mut bytes).map_err(at("read", path))?;
    if bytes.len() as u64 > cap {
        return Err(StorageError::TooBig { path: path.to_owned(), cap });
    }
    Ok(Some(bytes))
}

/// The only way in: resolves a path beneath an open directory.
pub(super) fn openat2<P: rustix::path::Arg + Copy>(
    dir: impl AsFd,
    path: P,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    /// The kernel returns EAGAIN if something is renamed during the resolution, which a tenant can provoke.
    const TRIES: usize = 64;
    let mut result = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        result = rustix::fs::openat2(&dir, path, flags, mode, RESOLVE);
        if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
    }
    result
}

fn give(file: impl AsFd, owner: u32) -> Result<(), Errno> {
    rustix::fs::fchown(file, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))
}

fn refused(errno: Errno, path: &str) -> StorageError {
    let what = match errno {
        Errno::LOOP => "a symbolic link",
        Errno::XDEV => "outside of the directory",
        Errno::NOTDIR => "not a directory",
        // A FIFO without a reader, a socket or a device.
        Errno::NXIO | Errno::NODEV => "not a plain file",
        _ => return at("open", path)(errno),
    };
    StorageError::Unsafe { path: path.to_owned(), what }
}
