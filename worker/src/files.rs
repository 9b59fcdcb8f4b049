//! The files of instances, with one verb for each thing that jobs need.
//!
//! Each verb may be repeated, by another worker as well. Sweeps, which look at all files of an installation, match on
//! the kind of storage: only a directory of the host can be listed and hold strangers' files.

use std::path::PathBuf;

use clawdeploy_shared::ids::{InstanceId, JobId, SnapshotId};
use tokio_util::sync::CancellationToken;

use crate::storage::{SnapshotTaken, Storage, StorageError, TreeSize};

/// The files of this installation's instances. Clones share their state.
#[derive(Debug, Clone)]
pub enum Files {
    /// In the data directory on the gateways' host.
    Local(Storage),
}

impl Files {
    /// Paths of an instance's config and workspace on the engine's host.
    pub fn paths(&self, id: &InstanceId) -> (PathBuf, PathBuf) {
        match self {
            Self::Local(storage) => storage.paths(id),
        }
    }

    /// Whether an instance has files in place.
    pub async fn exists(&self, id: &InstanceId) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.exists(id).await,
        }
    }

    /// Free bytes.
    pub async fn free_bytes(&self) -> Result<u64, StorageError> {
        match self {
            Self::Local(storage) => storage.free_bytes().await,
        }
    }

    /// Creates the directories of an instance. Existing content stays.
    pub async fn create(&self, id: &InstanceId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.create(id).await,
        }
    }

    /// Like [`Self::create`], and records that `job` created them if they were missing.
    pub async fn create_for(&self, id: &InstanceId, job: JobId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.create_for(id, job).await,
        }
    }

    /// Removes the files that `job` created. False: they are older and stay.
    pub async fn remove_if_made_by(&self, id: &InstanceId, job: JobId) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.remove_if_made_by(id, job).await,
        }
    }

    /// The manifest of an instance. `None`: it has none.
    pub async fn read_manifest(&self, id: &InstanceId) -> Result<Option<Vec<u8>>, StorageError> {
        match self {
            Self::Local(storage) => storage.read_manifest(id).await,
        }
    }

    /// Removes the files of an instance.
    pub async fn remove(&self, id: &InstanceId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.remove(id).await,
        }
    }

    /// Reads a file of the config directory of at most `cap` bytes. `None`: it does not exist. Only a plain file is
    /// read.
    pub async fn read_config_file(
        &self,
        id: &InstanceId,
        name: &str,
        cap: u64,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        match self {
            Self::Local(storage) => storage.read_config_file(id, name, cap).await,
        }
    }

    /// Writes a file of the config directory atomically.
    pub async fn write_config_file(&self, id: &InstanceId, name: &str, bytes: Vec<u8>) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.write_config_file(id, name, bytes).await,
        }
    }

    /// Renames whatever has this name in the config directory and returns the new name.
    pub async fn keep_config_file(&self, id: &InstanceId, name: &str) -> Result<String, StorageError> {
        match self {
            Self::Local(storage) => storage.keep_config_file(id, name).await,
        }
    }

    /// Writes the manifest beside an instance's files. False: it has no files.
    pub async fn write_manifest(&self, id: &InstanceId, bytes: Vec<u8>) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.write_manifest(id, bytes).await,
        }
    }

    /// Moves the files of an instance to the quarantine. False: it has none.
    pub async fn quarantine(&self, id: &InstanceId) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.quarantine(id).await,
        }
    }

    /// Whether the quarantine holds files of an instance.
    pub async fn is_quarantined(&self, id: &InstanceId) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.is_quarantined(id).await,
        }
    }

    /// Moves the files of an instance back from the quarantine, unless it has others by now.
    pub async fn take_back(&self, id: &InstanceId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.take_back(id).await,
        }
    }

    /// Removes the files of an instance from the quarantine.
    pub async fn purge(&self, id: &InstanceId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.purge(id).await,
        }
    }

    /// The size of the config directory: an upper bound for its snapshot.
    pub async fn snapshot_size(&self, id: &InstanceId) -> Result<TreeSize, StorageError> {
        match self {
            Self::Local(storage) => storage.snapshot_size(id).await,
        }
    }

    /// Takes a snapshot of the config directory. A complete one is left as it is. Nothing may write there in the
    /// meantime.
    ///
    /// Fails with [`StorageError::Cancelled`] soon after `cancel`.
    pub async fn take_snapshot(
        &self,
        id: &InstanceId,
        snapshot: SnapshotId,
        cancel: &CancellationToken,
    ) -> Result<SnapshotTaken, StorageError> {
        match self {
            Self::Local(storage) => storage.take_snapshot(id, snapshot, cancel).await,
        }
    }

    /// Replaces the config directory by a snapshot, or with `keep` by a copy of it, and removes the old one. The
    /// gateway must be gone.
    pub async fn restore_snapshot(
        &self,
        id: &InstanceId,
        snapshot: SnapshotId,
        keep: bool,
    ) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.restore_snapshot(id, snapshot, keep).await,
        }
    }

    /// Removes a snapshot. A missing one counts as removed.
    pub async fn remove_snapshot(&self, id: &InstanceId, snapshot: SnapshotId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.remove_snapshot(id, snapshot).await,
        }
    }
}
