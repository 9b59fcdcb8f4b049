//! What was deleted and can still be taken back.
//!
//! The instance's directory and its snapshots are renamed into `.quarantine/{id}`, and back. Each move consists of two renames
//! and may be repeated after a crash between them. An entry that is in the way of a newer one of the same id gets a suffix
//! (`{id}.{random}`), and goes when the newer one does.

use std::os::fd::OwnedFd;

use clawdeploy_shared::ids::InstanceId;
use rustix::{
    fs::{AtFlags, RenameFlags},
    io::Errno,
};

use super::{
    Inner, MANIFEST, QUARANTINE, SNAPSHOTS, Storage, dir, empty_of,
    error::{StorageError, at},
    remove, to_trash,
};

/// The instance's directory, within its entry.
const FILES: &str = "files";
/// Its snapshots, within its entry.
const SHELF: &str = "snapshots";

/// A manifest is a few KiB.
const MANIFEST_CAP: u64 = 4 << 20;

impl Storage {
    /// Moves the directory of an instance and its snapshots into the quarantine; its container must be gone. What is missing
    /// counts as moved. False: there is nothing of it in the quarantine now.
    pub async fn quarantine(&self, id: &InstanceId) -> Result<bool, StorageError> {
        self.with(id, |inner, id| {
            if dir::is_there(&inner.root, id)? && dir::is_there(&inner.quarantine, &format!("{id}/{FILES}"))? {
                set_aside(inner, id)?;
            }
            let shelf = dir::is_there(&inner.snapshots, id)?;
            if shelf && dir::is_there(&inner.quarantine, &format!("{id}/{SHELF}"))? {
                set_aside(inner, id)?;
            }
            if dir::is_there(&inner.root, id)? || shelf {
                let entry = dir::make(&inner.quarantine, id, 0o700, None)?;
                // The snapshots first: cut short in between, the directory still says whose they are.
                moved(&inner.snapshots, id, &entry, SHELF)?;
                moved(&inner.root, id, &entry, FILES)?;
                settled(inner, &entry, id)?;
            }
            dir::is_there(&inner.quarantine, &format!("{id}/{FILES}"))
        })
        .await
    }

    /// Moves the directory of an instance and its snapshots back out of the quarantine, unless it has a directory. What is
    /// missing counts as moved.
    pub async fn take_back(&self, id: &InstanceId) -> Result<(), StorageError> {
        self.with(id, |inner, id| {
            let entry = match dir::open(&inner.quarantine, id) {
                Ok(entry) => entry,
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            };
            // A directory beside one in the quarantine is another life of the same id: neither is put over the other.
            if dir::is_there(&inner.root, id)? && dir::is_there(&entry, FILES)? {
                return Ok(());
            }
            moved(&entry, FILES, &inner.root, id)?;
            if !dir::is_there(&inner.snapshots, id)? {
                moved(&entry, SHELF, &inner.snapshots, id)?;
            }
            settled(inner, &entry, id)?;
            match rustix::fs::unlinkat(&inner.quarantine, id, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
                Err(errno) => Err(at("remove", id)(errno)),
            }
        })
        .await
    }

    /// Whether the quarantine has the directory of an instance.
    pub async fn is_quarantined(&self, id: &InstanceId) -> Result<bool, StorageError> {
        self.with(id, |inner, id| dir::is_there(&inner.quarantine, &format!("{id}/{FILES}"))).await
    }

    /// Instances of which there is something in the quarantine.
    pub async fn quarantined(&self) -> Result<Vec<InstanceId>, StorageError> {
        self.blocking(|inner| {
            let names = remove::names(&inner.quarantine).map_err(at("list", QUARANTINE))?;
            let mut ids: Vec<InstanceId> =
                names.iter().filter_map(|name| name.split('.').next()?.parse().ok()).collect();
            ids.sort_unstable();
            ids.dedup();
            Ok(ids)
        })
        .await
    }

    /// Removes everything of an instance from the quarantine, for good. What is missing counts as done.
    pub async fn purge(&self, id: &InstanceId) -> Result<(), StorageError> {
        self.with(id, |inner, id| {
            for name in remove::names(&inner.quarantine).map_err(at("list", QUARANTINE))? {
                if name.split('.').next() == Some(id) {
                    to_trash(inner, id, &inner.quarantine, &name)?;
                }
            }
            empty_of(inner, id)
        })
        .await
    }

    /// Writes the manifest of an instance, readable by nobody but root; false: it has no directory.
    pub async fn write_manifest(&self, id: &InstanceId, bytes: Vec<u8>) -> Result<bool, StorageError> {
        self.with(id, move |inner, id| match dir::open(&inner.root, id) {
            Ok(home) => dir::write_own_file(&home, MANIFEST, &bytes).map(|()| true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    /// The manifest of an instance, wherever its directory is; `None`: there is none.
    pub async fn read_manifest(&self, id: &InstanceId) -> Result<Option<Vec<u8>>, StorageError> {
        self.with(id, |inner, id| match dir::read_file(&inner.root, &format!("{id}/{MANIFEST}"), MANIFEST_CAP)? {
            None => dir::read_file(&inner.quarantine, &format!("{id}/{FILES}/{MANIFEST}"), MANIFEST_CAP),
            found => Ok(found),
        })
        .await
    }

    /// As [`read_config_file`](Self::read_config_file), of an instance in the quarantine.
    pub async fn read_quarantined_config(
        &self,
        id: &InstanceId,
        name: &str,
        cap: u64,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let name = dir::checked(name)?;
        self.with(id, move |inner, id| {
            dir::read_file(&inner.quarantine, &format!("{id}/{FILES}/{}/{name}", super::CONFIG), cap)
        })
        .await
    }
}

/// Gives what the quarantine has of an instance another name.
fn set_aside(inner: &Inner, id: &str) -> Result<(), StorageError> {
    let aside = format!("{id}.{:016x}", rand::random::<u64>());
    moved(&inner.quarantine, id, &inner.quarantine, &aside)
}

fn moved(from: &OwnedFd, name: &str, to: &OwnedFd, as_name: &str) -> Result<(), StorageError> {
    match rustix::fs::renameat_with(from, name, to, as_name, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(at("move", name)(errno)),
    }
}

/// Before anything is written down that relies on it.
fn settled(inner: &Inner, entry: &OwnedFd, id: &str) -> Result<(), StorageError> {
    dir::sync(entry, id)?;
    dir::sync(&inner.quarantine, QUARANTINE)?;
    dir::sync(&inner.snapshots, SNAPSHOTS)?;
    dir::sync(&inner.root, id)
}
