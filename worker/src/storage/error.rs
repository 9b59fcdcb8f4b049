//! Errors of file operations.

use std::{io, path::Path};

/// A failed operation on the data directory.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("could not {operation} {path}")]
    Io {
        operation: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    /// The tenant put something there that is not followed or read.
    #[error("{path} is {what}; it was left alone")]
    Unsafe { path: String, what: &'static str },
    #[error("{path} is larger than {cap} bytes")]
    TooBig { path: String, cap: u64 },
    /// A tree has more entries than the limit.
    #[error("there are too many files")]
    TooMany,
    #[error("{0:?} is not a plain file name")]
    BadName(String),
    /// It was cancelled.
    #[error("the file operation was cancelled")]
    Cancelled,
    #[error("the file operation was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl StorageError {
    /// The disk is full or the quota exhausted.
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self,
            Self::Io { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        )
    }

    /// The file system does not answer: the server of a network file system is down, or a disk was removed.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Io { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::StaleNetworkFileHandle
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::HostUnreachable
                        | io::ErrorKind::NotConnected
                )
        )
    }

    /// The directory needed for the operation does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Wraps a failed system call with the operation and the path.
pub(super) fn at<E: Into<io::Error>>(
    operation: &'static str,
    path: impl AsRef<Path>,
) -> impl FnOnce(E) -> StorageError {
    move |source| StorageError::Io { operation, path: path.as_ref().display().to_string(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_full_disk_and_a_used_up_quota_are_the_same_to_us() {
        assert!(at("write", "x")(Errno::NOSPC).is_disk_full());
        assert!(at("write", "x")(Errno::DQUOT).is_disk_full());
        assert!(!at("write", "x")(Errno::ACCESS).is_disk_full());
        assert!(at("open", "x")(Errno::NOENT).is_not_found());
    }
}
