//! Measures the size of instances' files, once for all that want to know it: the limit, the graph and the live view.
//!
//! A walk reads a whole tree, and its tenant decides how large that is. So the result of a walk is shared, a tree is not
//! walked by two at a time, and each is walked at a bounded rate:
//!
//! - at most a twentieth of the time, however long a walk takes;
//! - unless somebody watches, less and less often while nothing changes: after one, two and then four minutes, and after
//!   eight from then on, if it is to be measured each minute. A thousand quiet instances of a few hundred files then
//!   take about a hundredth of a core.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clawdeploy_shared::ids::InstanceId;
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::storage::{DiskUse, MOST_ENTRIES, Storage, StorageError};

/// Walks at once.
const WALKS_AT_ONCE: usize = 4;

/// How long a walk may take. What was seen by then counts as a part.
const WALK_LIMIT: Duration = Duration::from_secs(10);

/// A tree rests for this many times as long as its walk took.
const REST: u32 = 20;

/// How often the time between two walks doubles while nothing changes.
const MOST_DOUBLINGS: u32 = 3;

/// A tree that nobody asked for in this time is forgotten. Longer than the longest rest.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(30);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Somebody who watches.
    Live,
    /// A task that asks again and again.
    Regular,
}

/// Measures files. Clones share what is known.
#[derive(Debug, Clone)]
pub struct DiskMeter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    walks: Semaphore,
    trees: Mutex<HashMap<InstanceId, Arc<Tree>>>,
}

/// Its lock is held during a walk.
type Tree = AsyncMutex<Option<Walk>>;

#[derive(Debug, Clone, Copy)]
struct Walk {
    ended: Instant,
    took: Duration,
    /// `None`: it failed.
    found: Option<DiskUse>,
    /// How many walks before it found the same.
    unchanged: u32,
}

impl Walk {
    /// Whether it need not be repeated yet, at this age.
    fn is_valid(&self, age: Duration, every: Duration, pace: Pace) -> bool {
        let doubled = match pace {
            Pace::Live => 0,
            Pace::Regular => self.unchanged.min(MOST_DOUBLINGS),
        };
        age < (every * (1 << doubled)).max(self.took * REST)
    }
}

impl DiskMeter {
    pub fn new(storage: Storage) -> Self {
        Self(Arc::new(Inner { storage, walks: Semaphore::new(WALKS_AT_ONCE), trees: Mutex::default() }))
    }

    /// The size of an instance's files, measured within `every` or longer ago if that is allowed. `None`: the last
    /// attempt failed, and it is not time for another.
    pub async fn measure(&self, id: &InstanceId, every: Duration, pace: Pace) -> Result<Option<DiskUse>, StorageError> {
        let tree = Arc::clone(self.trees().entry(id.clone()).or_default());
        let mut last = tree.lock().await;
        if let Some(walk) = &*last
            && walk.is_valid(walk.ended.elapsed(), every, pace)
        {
            return Ok(walk.found);
        }
        let _one_of_few = self.0.walks.acquire().await;
        let began = Instant::now();
        let walked = self.walk(id).await;
        let found = walked.as_ref().ok().copied();
        let before = last.as_ref().filter(|before| found.is_some() && before.found == found);
        let unchanged = before.map_or(0, |before| before.unchanged.saturating_add(1));
        *last = Some(Walk { ended: Instant::now(), took: began.elapsed(), found, unchanged });
        walked.map(Some)
    }

    async fn walk(&self, id: &InstanceId) -> Result<DiskUse, StorageError> {
        let time_is_up = CancellationToken::new();
        // Also if the caller gives up.
        let _ends = time_is_up.clone().drop_guard();
        let walk = self.0.storage.disk_use(id, MOST_ENTRIES, &time_is_up);
        tokio::pin!(walk);
        tokio::select! {
            found = &mut walk => return found,
            () = tokio::time::sleep(WALK_LIMIT) => time_is_up.cancel(),
        }
        walk.await
    }

    /// Forgets what nobody asked for lately.
    pub fn prune(&self) {
        self.trees().retain(|_, tree| {
            let last = tree.try_lock().map(|last| *last);
            last.map_or(true, |last| last.is_some_and(|walk| walk.ended.elapsed() < FORGOTTEN_AFTER))
        });
    }

    fn trees(&self) -> std::sync::MutexGuard<'_, HashMap<InstanceId, Arc<Tree>>> {
        self.0.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Seen;

    const MINUTE: Duration = Duration::from_mins(1);

    async fn meter() -> (tempfile::TempDir, DiskMeter, InstanceId) {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(&dir.path().join("data")).await.unwrap();
        let id = InstanceId::random();
        storage.create(&id).await.unwrap();
        (dir, DiskMeter::new(storage), id)
    }

    impl DiskMeter {
        async fn unchanged(&self, id: &InstanceId) -> u32 {
            let tree = Arc::clone(&self.trees()[id]);
            let last = *tree.lock().await;
            last.unwrap().unchanged
        }
    }

    #[test]
    fn a_tree_is_walked_less_often_while_nothing_changes() {
        let is_valid = |seconds, took, unchanged, pace| {
            let walk = Walk { ended: Instant::now(), took, found: None, unchanged };
            walk.is_valid(Duration::from_secs(seconds), MINUTE, pace)
        };
        let short = Duration::from_millis(5);
        for (unchanged, seconds) in [(0, 60), (1, 120), (2, 240), (3, 480), (30, 480)] {
            assert!(is_valid(seconds - 1, short, unchanged, Pace::Regular), "{unchanged}");
            assert!(!is_valid(seconds, short, unchanged, Pace::Regular), "{unchanged}");
            assert!(!is_valid(60, short, unchanged, Pace::Live), "whoever watches is not kept waiting");
        }
        let long = Duration::from_secs(9);
        for pace in [Pace::Live, Pace::Regular] {
            assert!(is_valid(179, long, 0, pace), "a twentieth of the time");
            assert!(!is_valid(180, long, 0, pace));
        }
    }

    #[tokio::test]
    async fn one_walk_serves_all() {
        let (_dir, meter, id) = meter().await;
        let asked = (0..9).map(|_| meter.measure(&id, MINUTE, Pace::Live));
        let found = futures_util::future::join_all(asked).await;
        assert!(found.iter().all(|found| matches!(found, Ok(Some(DiskUse { seen: Seen::All, .. })))), "{found:?}");
        assert_eq!(meter.unchanged(&id).await, 0, "walked once");
        meter.measure(&id, Duration::ZERO, Pace::Regular).await.unwrap();
        assert!(meter.unchanged(&id).await <= 1);
        meter.prune();
        assert_eq!(meter.trees().len(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_remembered_too() {
        let (_dir, meter, _) = meter().await;
        let stranger = InstanceId::random();
        assert!(meter.measure(&stranger, MINUTE, Pace::Regular).await.unwrap_err().is_not_found());
        assert_eq!(meter.measure(&stranger, MINUTE, Pace::Regular).await.unwrap(), None);
    }
}
