//! Measures the size of an instance's files.
//!
//! The tenant controls the tree and may change it at any time. So the walk counts up to a limit, and a disturbed count
//! is a lower bound.

use std::{ffi::CStr, os::fd::OwnedFd, time::Duration};

use clawdeploy_shared::ids::InstanceId;
use rustix::fs::Stat;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    CONFIG, Storage, WORKSPACE, dir,
    error::StorageError,
    walk::{Tally, Visitor, walk},
};

/// Most files, links and directories of an instance. So many inodes are a burden at any size.
pub const MOST_ENTRIES: u64 = 1_000_000;

/// The size of an instance's config and workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes on disk. Holes take none, and a file with several names counts once.
    pub bytes: u64,
    pub seen: Seen,
}

/// How complete a measurement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    All,
    /// There are more than [`MOST_ENTRIES`].
    TooMany,
    /// It changed in the meantime or time ran out: a lower bound.
    Part,
}

/// Counts up to a limit.
struct Bounded {
    tally: Tally,
    left: u64,
}

impl Bounded {
    fn count(&mut self, stat: &Stat) -> Result<(), StorageError> {
        self.left = self.left.checked_sub(1).ok_or(StorageError::TooMany)?;
        self.tally.count(stat);
        Ok(())
    }
}

impl Visitor for Bounded {
    fn enter(&mut self, _: &CStr, stat: &Stat) -> Result<(), StorageError> {
        self.count(stat)
    }

    fn leave(&mut self, _: &Stat, _: bool) -> Result<(), StorageError> {
        Ok(())
    }

    fn entry(&mut self, _: &OwnedFd, _: &CStr, stat: &Stat) -> Result<(), StorageError> {
        self.count(stat)
    }
}

impl Storage {
    /// Measures an instance's files, up to `most` entries and until `cancel`. Fails if it has none.
    pub async fn disk_use(
        &self,
        id: &InstanceId,
        most: u64,
        cancel: &CancellationToken,
    ) -> Result<DiskUse, StorageError> {
        let cancel = cancel.clone();
        self.with(id, move |inner, id| {
            let mut counted = Bounded { tally: Tally::default(), left: most };
            let mut seen = Seen::All;
            for part in [CONFIG, WORKSPACE] {
                let top = dir::open(&inner.root, &format!("{id}/{part}"))?;
                match walk(top, &cancel, &mut counted) {
                    Ok(()) => {}
                    Err(StorageError::TooMany) => return Ok(counted.so_far(Seen::TooMany)),
                    Err(StorageError::Unsafe { .. } | StorageError::Cancelled) => seen = Seen::Part,
                    Err(error) => return Err(error),
                }
            }
            Ok(counted.so_far(seen))
        })
        .await
    }

    /// Measures all of an instance's files: bytes on disk, or `None` if only a part was seen. Gives up after `within`
    /// ([`StorageError::Cancelled`]) or when dropped.
    pub async fn whole_disk_use(&self, id: &InstanceId, within: Duration) -> Result<Option<u64>, StorageError> {
        let cancel = CancellationToken::new();
        let _ends = cancel.clone().drop_guard();
        let measured = timeout(within, self.disk_use(id, MOST_ENTRIES, &cancel)).await;
        let used = measured.map_err(|_| StorageError::Cancelled)??;
        Ok((used.seen == Seen::All).then_some(used.bytes))
    }
}

impl Bounded {
    fn so_far(&self, seen: Seen) -> DiskUse {
        DiskUse { bytes: self.tally.allocated, seen }
    }
}
