//! Locked files: how tests of all runs on the machine keep out of each other's way.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

/// Locks one of `dir`'s names, whose file is made where it is missing; `None`: somebody has it.
///
/// The lock goes with the file's last handle, however the process ends.
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
