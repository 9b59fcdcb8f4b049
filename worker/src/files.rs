//! Where instances' files are, as the verbs that jobs have for them.
//!
//! Each may be repeated, by another worker as well. What looks at all files of an installation, as the sweeps do, matches on
//! where they are: a directory of the host has strangers in it and an end, which other places have not.

use std::path::PathBuf;

use clawdeploy_shared::ids::{InstanceId, JobId, SnapshotId};
use tokio_util::sync::CancellationToken;

use crate::storage::{SnapshotTaken, Storage, StorageError, TreeSize};

/// The files of this installation's instances. Clones are the same.
#[derive(Debug, Clone)]
pub enum Files {
    /// In the data directory of the host that the gateways run on.
    Local(Storage),
}

impl Files {
    /// Paths of an instance's config and workspace on the engine's host.
    pub fn paths(&self, id: &InstanceId) -> (PathBuf, PathBuf) {
        match self {
            Self::Local(storage) => storage.paths(id),
        }
    }

    /// Whether an instance has files in their place.
    pub async fn exists(&self, id: &InstanceId) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.exists(id).await,
        }
    }

    /// Bytes that are free for more.
    pub async fn free_bytes(&self) -> Result<u64, StorageError> {
        match self {
            Self::Local(storage) => storage.free_bytes().await,
        }
    }

    /// Makes the directories of an instance; what is there keeps its content.
    pub async fn create(&self, id: &InstanceId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.create(id).await,
        }
    }

    /// As [`Self::create`], noting that `job` has made them, if they were not there.
    pub async fn create_for(&self, id: &InstanceId, job: JobId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.create_for(id, job).await,
        }
    }

    /// Removes the files that `job` has made; false: they are older, and stay.
    pub async fn remove_if_made_by(&self, id: &InstanceId, job: JobId) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.remove_if_made_by(id, job).await,
        }
    }

    /// Removes the files of an instance from their place.
    pub async fn remove(&self, id: &InstanceId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.remove(id).await,
        }
    }

    /// Reads a file of the config directory, of `cap` bytes at most; `None`: there is none. Only a plain file is read.
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

    /// Writes a file of the config directory, whole or not at all.
    pub async fn write_config_file(&self, id: &InstanceId, name: &str, bytes: Vec<u8>) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.write_config_file(id, name, bytes).await,
        }
    }

    /// Gives what is under a name of the config directory another name, whatever it is, and returns that.
    pub async fn keep_config_file(&self, id: &InstanceId, name: &str) -> Result<String, StorageError> {
        match self {
            Self::Local(storage) => storage.keep_config_file(id, name).await,
        }
    }

    /// Writes the manifest beside an instance's files; false: it has none.
    pub async fn write_manifest(&self, id: &InstanceId, bytes: Vec<u8>) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.write_manifest(id, bytes).await,
        }
    }

    /// Moves the files of an instance into the quarantine; false: there are none.
    pub async fn quarantine(&self, id: &InstanceId) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.quarantine(id).await,
        }
    }

    /// Whether files of an instance are in the quarantine.
    pub async fn is_quarantined(&self, id: &InstanceId) -> Result<bool, StorageError> {
        match self {
            Self::Local(storage) => storage.is_quarantined(id).await,
        }
    }

    /// Moves the files of an instance out of the quarantine, unless it has others by now.
    pub async fn take_back(&self, id: &InstanceId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.take_back(id).await,
        }
    }

    /// Removes what of an instance is in the quarantine.
    pub async fn purge(&self, id: &InstanceId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.purge(id).await,
        }
    }

    /// What the config directory takes, as a bound for what a snapshot of it will.
    pub async fn snapshot_size(&self, id: &InstanceId) -> Result<TreeSize, StorageError> {
        match self {
            Self::Local(storage) => storage.snapshot_size(id).await,
        }
    }

    /// Takes a snapshot of the config directory; one that is complete is left as it is. Nothing may be writing there.
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

    /// Puts a snapshot, or with `keep` a copy of it, in the place of the config directory, which is removed. The gateway must
    /// be gone.
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

    /// Removes a snapshot; a missing one counts as done.
    pub async fn remove_snapshot(&self, id: &InstanceId, snapshot: SnapshotId) -> Result<(), StorageError> {
        match self {
            Self::Local(storage) => storage.remove_snapshot(id, snapshot).await,
        }
    }
}
