//! The files of deleted instances that can still be restored.
//!
//! The instance's directory and snapshots are renamed into `.quarantine/{id}`, and back. Each move consists of two
//! renames and may be repeated after a crash between them. An older entry of the same id gets a suffix
//! (`{id}.{random}`) and is deleted with the newer one.

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

/// Name of the instance's directory in its entry.
const FILES: &str = "files";
/// Name of its snapshots in its entry.
const SHELF: &str = "snapshots";

/// Most bytes of a manifest. Usually it is a few KiB.
const MANIFEST_CAP: u64 = 4 << 20;

impl Storage {
    /// Moves the directory and snapshots of an instance to the quarantine. Its container must be gone. Missing ones
    /// count as moved. False: the quarantine has nothing of it now.
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
                // The snapshots first: if interrupted, the directory still shows whose they are.
                moved(&inner.snapshots, id, &entry, SHELF)?;
                moved(&inner.root, id, &entry, FILES)?;
                settled(inner, &entry, id)?;
            }
            dir::is_there(&inner.quarantine, &format!("{id}/{FILES}"))
        })
        .await
    }

    /// Moves the directory and snapshots of an instance back from the quarantine, unless it has a directory. Missing
    /// ones count as moved.
    pub async fn take_back(&self, id: &InstanceId) -> Result<(), StorageError> {
        self.with(id, |inner, id| {
            let entry = match dir::open(&inner.quarantine, id) {
                Ok(entry) => entry,
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            };
            // A directory and one in the quarantine are two lives of the same id: neither replaces the other.
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

    /// Instances with an entry in the quarantine.
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

    /// Deletes everything of an instance from the quarantine. A missing entry counts as done.
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

    /// Writes the manifest of an instance, readable by root only. False: it has no directory.
    pub async fn write_manifest(&self, id: &InstanceId, bytes: Vec<u8>) -> Result<bool, StorageError> {
        self.with(id, move |inner, id| match dir::open(&inner.root, id) {
            Ok(home) => dir::write_own_file(&home, MANIFEST, &bytes).map(|()| true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    /// The manifest of an instance, wherever its directory is. `None`: there is none.
    pub async fn read_manifest(&self, id: &InstanceId) -> Result<Option<Vec<u8>>, StorageError> {
        self.with(id, |inner, id| match dir::read_file(&inner.root, &format!("{id}/{MANIFEST}"), MANIFEST_CAP)? {
            None => dir::read_file(&inner.quarantine, &format!("{id}/{FILES}/{MANIFEST}"), MANIFEST_CAP),
            found => Ok(found),
        })
        .await
    }

    /// Like [`read_config_file`](Self::read_config_file), for an instance in the quarantine.
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

/// Renames the quarantine's entry of an instance.
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

/// Makes a move durable, before anything that relies on it is recorded.
fn settled(inner: &Inner, entry: &OwnedFd, id: &str) -> Result<(), StorageError> {
    dir::sync(entry, id)?;
    dir::sync(&inner.quarantine, QUARANTINE)?;
    dir::sync(&inner.snapshots, SNAPSHOTS)?;
    dir::sync(&inner.root, id)
}
