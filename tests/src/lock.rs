//! File locks that keep tests of all runs on the machine apart.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

/// Locks a file of this name in `dir`, which is created if it is missing. `None`: another process or handle has the
/// lock.
///
/// The lock is released with the last handle of the file, however the process ends.
pub(crate) fn try_lock(dir: &Path, name: &str) -> Option<File> {
    let path = dir.join(name);
    std::fs::create_dir_all(dir).expect("a directory for locks");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).expect("a file to lock");
    match file.try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Error(error)) => panic!("cannot lock {}: {error}", path.display()),
    }
}
