//! A tenant changes files while we work on them: nothing outside is read, written, chowned or removed.

use std::{
    os::unix::fs::MetadataExt as _,
    sync::atomic::{AtomicBool, Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use clawdeploy_shared::ids::SnapshotId;
use tokio_util::sync::CancellationToken;

use super::{tree::tree_hash, *};
use crate::storage::Seen;

/// How long each race runs. On a busy machine both sides rarely run at the same moment.
const RACE: Duration = Duration::from_secs(2);

/// A tenant that works until it is stopped.
struct Tenant {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Tenant {
    /// Exchanges two names in a directory repeatedly.
    fn exchanges(dir: &Path, one: &str, other: &str) -> Self {
        let dir = rustix::fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let (one, other) = (one.to_owned(), other.to_owned());
        Self::does(move || rustix::fs::renameat_with(&dir, &one, &dir, &other, RenameFlags::EXCHANGE).is_ok())
    }

    fn does(mut work: impl FnMut() -> bool + Send + 'static) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            let mut times = 0;
            while !until.load(Ordering::Relaxed) {
                times += u64::from(work());
            }
            times
        });
        Self { done, thread: Some(thread) }
    }

    /// Stops it. It must have been at work.
    fn stop(mut self) {
        self.done.store(true, Ordering::Relaxed);
        assert!(self.thread.take().unwrap().join().unwrap() > 10, "nothing was changed meanwhile");
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

/// A tree outside that no tenant may touch, with owners and modes.
fn outside(place: &Place) -> String {
    let top = place.dir.path().join("outside");
    fs::create_dir_all(top.join("deep/er")).unwrap();
    put(&top.join("deep/er/openclaw.json"), "another's");
    tree_hash(&top)
}

/// Makes a directory of the tenant alternate with a link to the outside.
fn swapped(place: &Place, dir: &Path) -> Tenant {
    for name in ["state", "workspace"] {
        fs::create_dir_all(dir.join("mine").join(name)).unwrap();
        put(&dir.join("mine").join(name).join("file"), "mine");
    }
    symlink(place.dir.path().join("outside"), dir.join("link")).unwrap();
    Tenant::exchanges(dir, "mine", "link")
}

#[tokio::test]
async fn a_directory_that_becomes_a_link_is_not_measured_through() {
    let place = Place::new().await;
    fs::create_dir(place.dir.path().join("outside/huge")).unwrap();
    put(&place.dir.path().join("outside/huge/file"), &"x".repeat(4 << 20));
    let before = outside(&place);
    let (_, workspace) = place.storage.paths(&place.id);
    let tenant = swapped(&place, &workspace);
    let began = Instant::now();
    while began.elapsed() < RACE {
        let used = place.storage.disk_use(&place.id, 1000, &CancellationToken::new()).await.unwrap();
        assert!(used.bytes < 1 << 20, "{used:?}");
    }
    tenant.stop();
    assert_eq!(outside(&place), before);
}

#[tokio::test]
async fn a_directory_that_becomes_a_link_is_not_copied_through() {
    let place = Place::new().await;
    let before = outside(&place);
    let tenant = swapped(&place, &place.config());
    let began = Instant::now();
    while began.elapsed() < RACE {
        let id = SnapshotId::generate();
        let taken = place.storage.take_snapshot(&place.id, id, &CancellationToken::new()).await;
        if taken.is_ok() {
            let copy = place.dir.path().join("data/.snapshots").join(place.id.as_str()).join(id.to_string());
            for name in ["mine", "link"] {
                let found = fs::symlink_metadata(copy.join(name)).unwrap();
                assert!(found.is_symlink() || !copy.join(name).join("canary").exists(), "{name} was copied through");
            }
        }
        place.storage.remove_snapshot(&place.id, id).await.unwrap();
    }
    tenant.stop();
    assert_eq!(outside(&place), before);
}

/// The container is stopped before a removal. If one were still running, only its own files may be removed.
#[tokio::test]
async fn a_directory_that_becomes_a_link_is_not_removed_through() {
    let place = Place::new().await;
    let before = outside(&place);
    for _ in 0..50 {
        place.storage.create(&place.id).await.unwrap();
        let (_, workspace) = place.storage.paths(&place.id);
        let tenant = swapped(&place, &workspace);
        // Files added in the meantime may prevent the removal. The next attempt removes them.
        let _ = place.storage.remove(&place.id).await;
        drop(tenant);
    }
    for _ in 0..10 {
        if place.storage.remove(&place.id).await.is_ok() {
            break;
        }
    }
    assert!(!place.storage.exists(&place.id).await.unwrap());
    assert_eq!(outside(&place), before);
    place.assert_outside_untouched();
}

/// One file alternates with a FIFO, another with a hard link to a file outside: reading neither blocks nor reads that
/// file.
#[tokio::test]
async fn a_file_that_becomes_a_pipe_or_anothers_is_not_read() {
    let place = Place::new().await;
    let config = rustix::fs::open(place.config(), OFlags::RDONLY, Mode::empty()).unwrap();
    rustix::fs::mknodat(&config, "pipe", FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    place.write("first", "ours").await.unwrap();
    fs::hard_link(place.canary(), place.config().join("anothers")).unwrap();
    place.write("second", "ours").await.unwrap();
    let pipe = Tenant::exchanges(&place.config(), "first", "pipe");
    let hard = Tenant::exchanges(&place.config(), "second", "anothers");
    let began = Instant::now();
    while began.elapsed() < RACE {
        for name in ["first", "second"] {
            match place.read(name).await {
                Ok(Some(bytes)) => assert_eq!(bytes, b"ours", "{name}"),
                Ok(None) | Err(StorageError::Unsafe { .. }) => {}
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
    pipe.stop();
    hard.stop();
    place.assert_outside_untouched();
}

/// A tenant replaces the file by a link at every moment while we write it.
#[tokio::test]
async fn a_file_is_given_to_its_owner_and_nothing_else_is() {
    let place = Place::new().await;
    let dir = place.config();
    let canary = place.canary();
    let tenant = Tenant::does(move || {
        // A file that is being written has a name that begins with a dot.
        let names = fs::read_dir(&dir).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        let mut changed = false;
        for path in names {
            changed |= fs::remove_file(&path).is_ok() && symlink(&canary, &path).is_ok();
        }
        changed
    });
    let began = Instant::now();
    while began.elapsed() < RACE {
        // A write may fail because of the tenant, but never leads outside.
        let _ = place.write("openclaw.json", "ours").await;
    }
    tenant.stop();
    let meta = fs::metadata(place.canary()).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (0, 0));
    place.assert_outside_untouched();
}

#[tokio::test]
async fn a_measurement_has_bounds() {
    let place = Place::new().await;
    let (_, workspace) = place.storage.paths(&place.id);
    for i in 0..20 {
        put(&workspace.join(format!("file-{i}")), &"x".repeat(8192));
    }
    fs::hard_link(workspace.join("file-0"), workspace.join("again")).unwrap();
    let measure = async |most, cancel: &CancellationToken| place.storage.disk_use(&place.id, most, cancel).await;
    let all = measure(1000, &CancellationToken::new()).await.unwrap();
    assert_eq!(all.seen, Seen::All);
    assert!((20 * 8192..21 * 8192 + 65536).contains(&all.bytes), "{all:?}");
    let few = measure(10, &CancellationToken::new()).await.unwrap();
    assert!(few.seen == Seen::TooMany && few.bytes <= 10 * 8192, "{few:?}");
    let over = CancellationToken::new();
    over.cancel();
    assert_eq!(measure(1000, &over).await.unwrap().seen, Seen::Part);
    let stranger = InstanceId::random();
    assert!(place.storage.disk_use(&stranger, 10, &over).await.unwrap_err().is_not_found());
}
