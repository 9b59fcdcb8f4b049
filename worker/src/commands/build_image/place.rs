//! Where `build-image` keeps a repository's objects. A worker has another place, because every build empties its own.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

/// The directory, and the right to use it.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    /// Held as long as this exists: one command empties the place of another, too.
    _lock: File,
}

impl Place {
    pub(super) fn take(data_dir: &Path) -> anyhow::Result<Self> {
        // A missing directory is more likely a mistake than one to create.
        ensure!(
            data_dir.is_dir(),
            "{} is not a directory; say with --data-dir (CLAWDEPLOY_DATA_DIR) where a repository may be kept during the build",
            data_dir.display()
        );
        let dir = data_dir.join(".openclaw-src-by-hand");
        let cannot = || format!("cannot use {}", dir.display());
        std::fs::create_dir_all(&dir).with_context(cannot)?;
        let lock = File::open(&dir).with_context(cannot)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another `clawdeploy-worker build-image` uses {}; wait until it has ended", dir.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
        }
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_commands_do_not_share_a_place() {
        let data_dir = tempfile::tempdir().unwrap();
        let first = Place::take(data_dir.path()).unwrap();
        let second = Place::take(data_dir.path()).unwrap_err().to_string();
        assert!(second.contains("another") && second.contains("wait"), "{second}");
        drop(first);
        Place::take(data_dir.path()).unwrap();
        let missing = Place::take(&data_dir.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("CLAWDEPLOY_DATA_DIR"), "{missing}");
    }
}
