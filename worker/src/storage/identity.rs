//! The identity file of the data directory, which names its installation.

use std::sync::{Arc, PoisonError};

use clawdeploy_shared::ids::{DataDirId, InstallationId};
use serde::{Deserialize, Serialize};

use super::{
    Inner, Storage, blocking, dir,
    error::{StorageError, at},
};

/// Its name, which `scripts/backup` and `scripts/restore` use as well.
const NAME: &str = ".identity";
const CAP: u64 = 4096;

/// Its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    pub installation: InstallationId,
    pub data_dir: DataDirId,
}

impl Storage {
    /// Reopens the data directory if its path leads somewhere else by now: a disk was mounted or unmounted, or the
    /// directory was replaced. Never creates it.
    pub async fn refresh(&self) -> Result<(), StorageError> {
        let (given, current) = (Arc::clone(&self.given), self.inner());
        let other = blocking(move || {
            let there = rustix::fs::stat(&*given).map_err(at("look at", &given))?;
            let opened = rustix::fs::fstat(&current.root).map_err(at("look at", &current.path))?;
            let same = (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino);
            if same { Ok(None) } else { Inner::open(&given).map(Some) }
        });
        if let Some(other) = other.await? {
            tracing::warn!(path = %self.given.display(), "The data directory was replaced; reopening it");
            *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(other);
        }
        Ok(())
    }

    /// The identity of the directory. `None`: it has none.
    pub async fn mark(&self) -> Result<Option<Mark>, StorageError> {
        self.blocking(|inner| {
            let Some(bytes) = dir::read_file(&inner.root, NAME, CAP)? else { return Ok(None) };
            let unreadable = || StorageError::Unsafe { path: NAME.to_owned(), what: "not an identity" };
            serde_json::from_slice(&bytes).map(Some).map_err(|_| unreadable())
        })
        .await
    }

    /// Writes the identity, readable by the worker only.
    pub async fn set_mark(&self, mark: Mark) -> Result<(), StorageError> {
        self.blocking(move |inner| {
            let text = serde_json::to_vec(&mark).map_err(|error| at("write", NAME)(std::io::Error::from(error)))?;
            dir::write_own_file(&inner.root, NAME, &text)
        })
        .await
    }
}
