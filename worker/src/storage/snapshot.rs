//! Snapshots of the config directory, for rolling back an update.
//!
//! Each attempt copies into its own directory and renames that by path, never by handle. So an abandoned attempt that
//! still runs (it lost its lease, say) cannot publish what the next one has discarded.

use std::os::fd::OwnedFd;

use clawdeploy_shared::{
    db::snapshot::SnapshotMethod,
    ids::{InstanceId, SnapshotId},
};
use rustix::{
    fs::{FlockOperation, RenameFlags},
    io::Errno,
};
use tokio_util::sync::CancellationToken;

use super::{
    CONFIG, Inner, Storage,
    copy::{self, Copier},
    dir, empty_of,
    error::{StorageError, at},
    remove, to_trash,
    walk::{Tally, walk},
};

/// Suffix of an incomplete snapshot.
const PARTIAL: &str = ".partial";
/// Suffix of a note beside a snapshot, written before it is moved to the config directory's place. It holds the inode
/// number of the directory, which the move does not change.
const MOVED: &str = ".moved";
/// Where the copy of a snapshot is made that is to be kept, in the instance's directory.
const RESTORING: &str = "config.restoring";

/// A complete snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotTaken {
    /// Plain files and symbolic links in it.
    pub files: u64,
    /// Apparent size of its plain files in bytes. A sparse file counts in full, one with several names once.
    pub bytes: u64,
    pub method: SnapshotMethod,
}

/// The size of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeSize {
    /// Plain files and symbolic links.
    pub files: u64,
    /// Bytes on disk. Holes take none.
    pub bytes: u64,
}

impl Storage {
    /// Takes a snapshot of the config directory. A complete one is left as it is.
    ///
    /// Nothing may write to the directory in the meantime, or the snapshot is inconsistent. Fails with
    /// [`StorageError::Cancelled`] soon after `cancel` and leaves a part that the next attempt, or
    /// [`remove_snapshot`](Self::remove_snapshot), deletes. After any other failure it deletes the part itself.
    pub async fn take_snapshot(
        &self,
        id: &InstanceId,
        snapshot: SnapshotId,
        cancel: &CancellationToken,
    ) -> Result<SnapshotTaken, StorageError> {
        let cancel = cancel.clone();
        self.with(id, move |inner, id| {
            let name = snapshot.to_string();
            if let Some(taken) = complete(inner, id, &name, &cancel)? {
                return Ok(taken);
            }
            let config = dir::open(&inner.root, &format!("{id}/{CONFIG}"))?;
            let shelf = dir::make(&inner.snapshots, id, 0o700, None)?;
            let partial = format!("{name}{PARTIAL}");
            let (path, copied) = copy_aside(inner, id, config, &shelf, &partial, &cancel)?;
            match rustix::fs::renameat_with(&shelf, &path, &shelf, &name, RenameFlags::NOREPLACE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(at("complete the snapshot", &name)(errno)),
            }
            dir::sync(&shelf, &name)?;
            dir::sync(&inner.snapshots, id)?;
            throw_away(inner, id, &shelf, &partial);
            Ok(copied)
        })
        .await
    }

    /// The size of the config directory: an upper bound for its snapshot.
    pub async fn snapshot_size(&self, id: &InstanceId) -> Result<TreeSize, StorageError> {
        self.with(id, |inner, id| {
            let config = dir::open(&inner.root, &format!("{id}/{CONFIG}"))?;
            let mut tally = Tally::default();
            walk(config, &CancellationToken::new(), &mut tally)?;
            Ok(TreeSize { files: tally.files, bytes: tally.allocated })
        })
        .await
    }

    /// Replaces the config directory by a snapshot and deletes the old one. The instance's container must be gone.
    ///
    /// With `keep` a copy of the snapshot is used, else the snapshot itself, which is then gone. May be repeated after
    /// a crash at any point. Without `keep`, a missing snapshot counts as restored by an earlier attempt if the config
    /// directory is that very one. Any other missing part is an error for which
    /// [`is_not_found`](StorageError::is_not_found) is true, and changes nothing.
    pub async fn restore_snapshot(
        &self,
        id: &InstanceId,
        snapshot: SnapshotId,
        keep: bool,
    ) -> Result<(), StorageError> {
        self.with(id, move |inner, id| {
            let home = dir::open(&inner.root, id)?;
            let path = format!("{id}/{snapshot}");
            if keep {
                let source = dir::open(&inner.snapshots, &path)?;
                let (copy, _) = copy_aside(inner, id, source, &home, RESTORING, &CancellationToken::new())?;
                if !swap(inner, id, &home, &home, &copy)? {
                    return Err(at("restore", &path)(Errno::NOENT));
                }
            } else {
                match note_move(inner, &path) {
                    // The move itself takes no space. After a crash right after it, an administrator has to look.
                    Err(error) if error.is_disk_full() => {}
                    noted => noted?,
                }
                if !swap(inner, id, &home, &inner.snapshots, &path)? && !was_moved(inner, &home, &path)? {
                    return Err(at("restore", &path)(Errno::NOENT));
                }
            }
            throw_away(inner, id, &home, RESTORING);
            Ok(())
        })
        .await
    }

    /// Deletes a snapshot, complete or not. A missing one counts as done.
    pub async fn remove_snapshot(&self, id: &InstanceId, snapshot: SnapshotId) -> Result<(), StorageError> {
        self.with(id, move |inner, id| {
            match dir::open(&inner.snapshots, id) {
                Ok(shelf) => {
                    to_trash(inner, id, &shelf, &snapshot.to_string())?;
                    to_trash(inner, id, &shelf, &format!("{snapshot}{PARTIAL}"))?;
                    to_trash(inner, id, &shelf, &format!("{snapshot}{MOVED}"))?;
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            empty_of(inner, id)
        })
        .await
    }

    /// The names of existing snapshots: the id, with `.partial` appended if incomplete.
    pub async fn snapshots(&self) -> Result<Vec<(InstanceId, String)>, StorageError> {
        self.blocking(|inner| {
            let mut found = Vec::new();
            for name in remove::names(&inner.snapshots).map_err(at("list", super::SNAPSHOTS))? {
                let Ok(id) = name.parse::<InstanceId>() else { continue };
                let shelf = match dir::open(&inner.snapshots, &name) {
                    Ok(shelf) => shelf,
                    // The instance was removed just now.
                    Err(error) if error.is_not_found() => continue,
                    Err(error) => return Err(error),
                };
                let names = remove::names(&shelf).map_err(at("list", &name))?;
                found.extend(names.into_iter().map(|name| (id.clone(), name)));
            }
            Ok(found)
        })
        .await
    }
}

/// A complete snapshot, counted again.
fn complete(
    inner: &Inner,
    id: &str,
    name: &str,
    cancel: &CancellationToken,
) -> Result<Option<SnapshotTaken>, StorageError> {
    let (shelf, snapshot) =
        match (dir::open(&inner.snapshots, id), dir::open(&inner.snapshots, &format!("{id}/{name}"))) {
            (Ok(shelf), Ok(snapshot)) => (shelf, snapshot),
            (Err(error), _) | (_, Err(error)) if error.is_not_found() => return Ok(None),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
    let mut tally = Tally::default();
    walk(snapshot, cancel, &mut tally)?;
    // A crash may have come before this was on disk, or before the attempt's leftovers were deleted.
    dir::sync(&shelf, name)?;
    throw_away(inner, id, &shelf, &format!("{name}{PARTIAL}"));
    Ok(Some(taken(&tally, copy::clones(&shelf))))
}

fn taken(tally: &Tally, cloned: bool) -> SnapshotTaken {
    let method = if cloned { SnapshotMethod::Reflink } else { SnapshotMethod::Copy };
    SnapshotTaken { files: tally.files, bytes: tally.bytes, method }
}

/// Copies a tree to a new directory within `{place}/{name}`, replacing what is there, and returns its path below
/// `place`.
pub(super) fn copy_aside(
    inner: &Inner,
    id: &str,
    source: OwnedFd,
    place: &OwnedFd,
    name: &str,
    cancel: &CancellationToken,
) -> Result<(String, SnapshotTaken), StorageError> {
    to_trash(inner, id, place, name)?;
    throw_away(inner, id, place, name);
    let attempt = format!("{:016x}", rand::random::<u64>());
    let copied = (|| {
        let work = dir::make(place, name, 0o700, None)?;
        let tree = dir::make(&work, &attempt, 0o700, None)?;
        let links = dir::make(&work, &format!("{attempt}-links"), 0o700, None)?;
        let mut copier = Copier::new(tree, links, cancel);
        walk(source, cancel, &mut copier)?;
        // Once for all files: syncing thousands of files one by one would take minutes.
        rustix::fs::syncfs(&work).map_err(at("write to disk", name))?;
        Ok(taken(&copier.tally, !copier.copied))
    })();
    // A cancelled attempt returns at once. Otherwise the space is freed, all the more if there was too little of it.
    if copied.as_ref().is_err_and(|error| !matches!(error, StorageError::Cancelled)) {
        throw_away(inner, id, place, name);
    }
    Ok((format!("{name}/{attempt}"), copied?))
}

/// Records which directory is about to be moved, if it exists.
fn note_move(inner: &Inner, path: &str) -> Result<(), StorageError> {
    let snapshot = match dir::open(&inner.snapshots, path) {
        Ok(snapshot) => snapshot,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    let inode = inode(&snapshot, path)?;
    let Some((shelf, name)) = path.split_once('/') else { return Err(StorageError::BadName(path.to_owned())) };
    let shelf = dir::open(&inner.snapshots, shelf)?;
    dir::write_file(&shelf, &format!("{name}{MOVED}"), inode.to_string().as_bytes())
}

/// Whether the config directory is the recorded one.
fn was_moved(inner: &Inner, home: &OwnedFd, path: &str) -> Result<bool, StorageError> {
    let Some(noted) = dir::read_file(&inner.snapshots, &format!("{path}{MOVED}"), 64)? else { return Ok(false) };
    match dir::open(home, CONFIG) {
        Ok(config) => Ok(inode(&config, CONFIG)?.to_string().as_bytes() == noted),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

fn inode(dir: &OwnedFd, name: &str) -> Result<u64, StorageError> {
    Ok(rustix::fs::fstat(dir).map_err(at("look at", name))?.st_ino)
}

/// Moves `{place}/{path}` to the config directory's place, and the old one to the trash. False: there is nothing to
/// move.
fn swap(inner: &Inner, id: &str, home: &OwnedFd, place: &OwnedFd, path: &str) -> Result<bool, StorageError> {
    // Held for a few renames until it is closed: another attempt must not take what was just put there for the old one.
    let lock = dir::open(&inner.root, id)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(at("lock", id))?;
    if !dir::is_there(place, path)? {
        return Ok(false);
    }
    to_trash(inner, id, home, CONFIG)?;
    rustix::fs::renameat_with(place, path, home, CONFIG, RenameFlags::NOREPLACE).map_err(at("restore", path))?;
    // Before anything is deleted for good.
    dir::sync(home, id)?;
    Ok(true)
}

/// Deletes what is no longer needed. A failure only costs space, so it is logged. What is left in the trash is deleted
/// later.
fn throw_away(inner: &Inner, id: &str, place: &OwnedFd, name: &str) {
    if let Err(error) = to_trash(inner, id, place, name).and_then(|()| empty_of(inner, id)) {
        tracing::warn!(
            instance = id,
            name,
            error = &error as &dyn std::error::Error,
            "Could not delete leftovers; \
                                                                                       trying again later"
        );
    }
}
