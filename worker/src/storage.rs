//! The directories of the instances.
//!
//! ```text
//! {data_dir}/               0711 root
//!   .trash/                 0700 root   what is being removed
//!   .snapshots/             0700 root   nobody but the worker gets past this one
//!     {id}/
//!       {snapshot}/         0700 1000   a copy of `config`; its name says that it is complete
//!       {snapshot}.partial/ 0700 root   one that is being made
//!   .quarantine/            0700 root   what was deleted and can still be taken back
//!     {id}/
//!       files/              the instance's directory, as it was
//!       snapshots/          its snapshots, as they were
//!   {id}/                   0700 root   nobody but the engine gets past this one
//!     instance.json         0600 root   what the instance's row holds, in case the database loses it
//!     .made-by              0600 root   the job that made this directory
//!     config/               0700 1000   mounted at /home/node/.openclaw
//!     config.restoring/     0700 root   a copy of a snapshot that is to become `config`
//!     workspace/            0700 1000   mounted at /home/node/workspace
//! ```
//!
//! Tenants are hostile and write to `config` and `workspace` at any time. So nothing in there is reached by path: every
//! step starts from an open directory and refuses symbolic links, mount points and anything that leads outside. Owners
//! and modes are set on open handles. Only plain files are read, and files are written under a new name and renamed
//! over the old one. Snapshots hold a tenant's files, so the same applies to them.

mod copy;
mod dir;
mod error;
mod identity;
mod measure;
mod quarantine;
mod remove;
mod snapshot;
mod walk;

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use clawdeploy_shared::ids::{InstanceId, JobId};
use rustix::{fs::RenameFlags, io::Errno};

pub use error::StorageError;
use error::at;
pub use identity::Mark;
pub use measure::{DiskUse, MOST_ENTRIES, Seen};
pub use snapshot::{SnapshotTaken, TreeSize};

const CONFIG: &str = "config";
const WORKSPACE: &str = "workspace";
const TRASH: &str = ".trash";
const SNAPSHOTS: &str = ".snapshots";
const QUARANTINE: &str = ".quarantine";
const MANIFEST: &str = "instance.json";
const MADE_BY: &str = ".made-by";

/// The data directory. Cheap to clone. Every verb may be repeated and runs on a thread where it may block.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The path from the settings.
    given: Arc<Path>,
    /// The directory that is there now: a disk may be mounted over it later.
    inner: Arc<RwLock<Arc<Inner>>>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    root: OwnedFd,
    trash: OwnedFd,
    snapshots: OwnedFd,
    quarantine: OwnedFd,
}

impl Inner {
    fn open(path: &Path) -> Result<Self, StorageError> {
        let path = path.canonicalize().map_err(at("find the directory", path))?;
        let root = dir::open_root(&path)?;
        dir::set_mode(&root, 0o711).map_err(at("set the mode of", &path))?;
        let trash = dir::make(&root, TRASH, 0o700, None)?;
        let snapshots = dir::make(&root, SNAPSHOTS, 0o700, None)?;
        let quarantine = dir::make(&root, QUARANTINE, 0o700, None)?;
        Ok(Self { path, root, trash, snapshots, quarantine })
    }
}

impl Storage {
    /// Opens `data_dir` and creates it if it is missing. The path is the operator's and may contain symbolic links.
    pub async fn open(data_dir: &Path) -> Result<Self, StorageError> {
        let given: Arc<Path> = Arc::from(data_dir);
        let path = Arc::clone(&given);
        let inner = blocking(move || {
            std::fs::create_dir_all(&path).map_err(at("make the directory", &path))?;
            Inner::open(&path)
        })
        .await?;
        Ok(Self { given, inner: Arc::new(RwLock::new(Arc::new(inner))) })
    }

    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Paths of an instance's config and workspace, for the engine to mount.
    pub fn paths(&self, id: &InstanceId) -> (PathBuf, PathBuf) {
        let home = self.inner().path.join(id.as_str());
        (home.join(CONFIG), home.join(WORKSPACE))
    }

    /// Creates the directories of an instance. Existing ones keep their content and get their owner and mode back.
    pub async fn create(&self, id: &InstanceId) -> Result<(), StorageError> {
        self.with(id, |inner, id| {
            let home = dir::make(&inner.root, id, 0o700, None)?;
            dir::make(&home, CONFIG, 0o700, Some(dir::TENANT))?;
            dir::make(&home, WORKSPACE, 0o700, Some(dir::TENANT))?;
            dir::sync(&home, id)
        })
        .await
    }

    /// Like [`create`](Self::create), and records that `job` created the directory if it was missing.
    pub async fn create_for(&self, id: &InstanceId, job: JobId) -> Result<(), StorageError> {
        self.with(id, move |inner, id| {
            if !dir::is_there(&inner.root, id)? {
                // Under its final name it always has its creator recorded. Otherwise a removal would leave it.
                let home = dir::make(&inner.root, id, 0o700, None)?;
                dir::write_own_file(&home, MADE_BY, job.to_string().as_bytes())?;
            }
            Ok(())
        })
        .await?;
        self.create(id).await
    }

    /// Removes the directories of an instance if `job` created them. False: they are older and stay.
    pub async fn remove_if_made_by(&self, id: &InstanceId, job: JobId) -> Result<bool, StorageError> {
        let is_older = self
            .with(id, move |inner, id| {
                if !dir::is_there(&inner.root, id)? {
                    return Ok(false);
                }
                let made_by = dir::read_file(&inner.root, &format!("{id}/{MADE_BY}"), 100)?;
                if made_by.as_deref() == Some(job.to_string().as_bytes()) {
                    return Ok(false);
                }
                // Interrupted before the creator was recorded, or the disk was full. It holds nobody's files.
                let home = dir::open(&inner.root, id)?;
                Ok(dir::is_there(&home, CONFIG)? || dir::is_there(&home, WORKSPACE)?)
            })
            .await?;
        if is_older {
            return Ok(false);
        }
        // Even if it is gone: an earlier removal may have been interrupted.
        self.remove(id).await.map(|()| true)
    }

    /// Writes a file of the config directory atomically, owned by the tenant and readable by nobody else.
    ///
    /// A planted link of that name is replaced, never followed. Leftovers of an earlier write are removed.
    pub async fn write_config_file(&self, id: &InstanceId, name: &str, bytes: Vec<u8>) -> Result<(), StorageError> {
        let name = dir::checked(name)?;
        self.with(id, move |inner, id| {
            let config = dir::open(&inner.root, &format!("{id}/{CONFIG}"))?;
            dir::write_file(&config, &name, &bytes)
        })
        .await
    }

    /// Reads a file of the config directory. `None`: it does not exist.
    ///
    /// The tenant may have put anything there: only a plain file with one name is read, and only up to `cap` bytes.
    pub async fn read_config_file(
        &self,
        id: &InstanceId,
        name: &str,
        cap: u64,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let name = dir::checked(name)?;
        self.with(id, move |inner, id| dir::read_file(&inner.root, &format!("{id}/{CONFIG}/{name}"), cap)).await
    }

    /// Renames whatever has this name in the config directory and returns the new name. It is neither read nor
    /// followed, and the rename replaces nothing.
    pub async fn keep_config_file(&self, id: &InstanceId, name: &str) -> Result<String, StorageError> {
        let name = dir::checked(name)?;
        self.with(id, move |inner, id| {
            let config = dir::open(&inner.root, &format!("{id}/{CONFIG}"))?;
            dir::keep(&config, &name)
        })
        .await
    }

    /// Whether the instance has a directory.
    pub async fn exists(&self, id: &InstanceId) -> Result<bool, StorageError> {
        self.with(id, |inner, id| dir::is_there(&inner.root, id)).await
    }

    /// Instances with a directory.
    pub async fn list(&self) -> Result<Vec<InstanceId>, StorageError> {
        self.blocking(|inner| {
            let names = remove::names(&inner.root).map_err(at("list", &inner.path))?;
            Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
        })
        .await
    }

    /// Removes the directories of an instance and its snapshots. Its container must be gone. A missing one counts as
    /// done.
    ///
    /// The name is free at once. An interrupted removal leaves the rest in the trash, which the next removal of the
    /// same instance, or [`discard`](Self::discard), deletes.
    pub async fn remove(&self, id: &InstanceId) -> Result<(), StorageError> {
        self.with(id, |inner, id| {
            // The snapshots first: if interrupted, the instance is still listed for removal.
            to_trash(inner, id, &inner.snapshots, id)?;
            to_trash(inner, id, &inner.root, id)?;
            empty_of(inner, id)
        })
        .await
    }

    /// The names in the trash with their instances: removals under way and what interrupted ones left.
    pub async fn trash(&self) -> Result<Vec<(String, Option<InstanceId>)>, StorageError> {
        self.blocking(|inner| {
            let names = remove::names(&inner.trash).map_err(at("list", TRASH))?;
            let owner = |name: &str| name.split_once('-').and_then(|(id, _)| id.parse().ok());
            Ok(names.into_iter().map(|name| (name.clone(), owner(&name))).collect())
        })
        .await
    }

    /// Deletes an item from the trash. A missing one counts as done. Nothing else may be deleting it.
    pub async fn discard(&self, name: &str) -> Result<(), StorageError> {
        let name = dir::checked(name)?;
        self.blocking(move |inner| remove::tree(&inner.trash, &name).map_err(at("remove", &name))).await
    }

    /// Free bytes on the data directory's file system.
    pub async fn free_bytes(&self) -> Result<u64, StorageError> {
        self.blocking(|inner| {
            let fs = rustix::fs::fstatvfs(&inner.root).map_err(at("measure", &inner.path))?;
            Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        id: &InstanceId,
        work: impl FnOnce(&Inner, &str) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let id = id.clone();
        self.blocking(move |inner| work(inner, id.as_str())).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let inner = self.inner();
        blocking(move || work(&inner)).await
    }
}

/// Moves an item of an instance to the trash, which frees its name. A missing one counts as done.
fn to_trash(inner: &Inner, id: &str, parent: &OwnedFd, name: &str) -> Result<(), StorageError> {
    let doomed = format!("{id}-{:016x}", rand::random::<u64>());
    match rustix::fs::renameat_with(parent, name, &inner.trash, &doomed, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(at("move to the trash", name)(errno)),
    }
}

/// Deletes everything of an instance from the trash.
fn empty_of(inner: &Inner, id: &str) -> Result<(), StorageError> {
    let names = remove::names(&inner.trash).map_err(at("list", TRASH))?;
    let owned = |name: &&String| name.strip_prefix(id).is_some_and(|rest| rest.starts_with('-'));
    for name in names.iter().filter(owned) {
        remove::tree(&inner.trash, name).map_err(at("remove", name))?;
    }
    Ok(())
}

/// Once begun, the work runs to its end even if nobody awaits it: no rename is left half done.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(work).await.map_err(StorageError::Interrupted)?
}

#[cfg(test)]
mod tests;
