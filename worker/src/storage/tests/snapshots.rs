use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt as _, net::UnixListener},
    process::Command,
    time::{Duration, SystemTime},
};

use clawdeploy_shared::ids::SnapshotId;
use tokio_util::sync::CancellationToken;

use super::{
    tree::{deep, sparse, tree_hash},
    *,
};

impl Place {
    async fn take(&self, snapshot: SnapshotId) -> Result<SnapshotTaken, StorageError> {
        self.storage.take_snapshot(&self.id, snapshot, &CancellationToken::new()).await
    }

    async fn restore(&self, snapshot: SnapshotId, keep: bool) -> Result<(), StorageError> {
        self.storage.restore_snapshot(&self.id, snapshot, keep).await
    }

    /// Where a snapshot or a part of one is.
    fn shelf(&self, name: impl std::fmt::Display) -> PathBuf {
        self.dir.path().join(format!("data/.snapshots/{}/{name}", self.id))
    }

    fn restoring(&self) -> PathBuf {
        self.config().with_file_name("config.restoring")
    }

    async fn snapshots(&self) -> Vec<String> {
        let found = self.storage.snapshots().await.unwrap();
        found.into_iter().filter(|(id, _)| *id == self.id).map(|(_, name)| name).collect()
    }

    /// Writes recognizable content.
    fn fill(&self) {
        let config = self.config();
        put(&config.join("openclaw.json"), "old");
        put(&config.join("empty"), "");
        fs::create_dir_all(config.join("state/sessions")).unwrap();
        put(&config.join("state/sessions/one"), &"x".repeat(100_000));
        symlink("state/sessions/one", config.join("link")).unwrap();
    }

    fn change(&self) {
        let config = self.config();
        put(&config.join("openclaw.json"), "new");
        put(&config.join("more"), "new");
        fs::remove_file(config.join("state/sessions/one")).unwrap();
    }

    fn assert_trash_empty(&self) {
        assert_eq!(names(&self.dir.path().join("data/.trash")), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_snapshot_brings_back_what_was_there() {
    for keep in [false, true] {
        let place = Place::new().await;
        place.fill();
        let (before, snapshot) = (tree_hash(&place.config()), SnapshotId::generate());
        let taken = place.take(snapshot).await.unwrap();
        assert_eq!((taken.files, taken.bytes), (4, 100_003));
        assert_eq!(place.take(snapshot).await.unwrap(), taken);
        assert_eq!(tree_hash(&place.shelf(snapshot)), before);
        place.change();
        assert_ne!(tree_hash(&place.config()), before);

        place.restore(snapshot, keep).await.unwrap();
        assert_eq!(tree_hash(&place.config()), before);
        assert_eq!(place.shelf(snapshot).exists(), keep);
        place.restore(snapshot, keep).await.unwrap();
        assert_eq!(tree_hash(&place.config()), before);
        assert!(!place.restoring().exists());
        assert_eq!(owner_and_mode(&place.dir.path().join("data/.snapshots")), (0, 0, 0o700));
        place.assert_trash_empty();
    }
}

/// Files of a hostile tenant.
#[tokio::test]
async fn a_hostile_tree_is_copied_and_leads_nowhere() {
    let place = Place::new().await;
    let config = place.config();
    deep(&config, 3000);
    sparse(&config.join("sparse"), 10 << 30);
    symlink("/etc", config.join("etc")).unwrap();
    symlink(place.canary(), config.join("out")).unwrap();
    symlink("loop", config.join("loop")).unwrap();
    fs::hard_link(place.canary(), config.join("hard")).unwrap();
    put(&config.join("one"), "two names");
    fs::create_dir(config.join("closed")).unwrap();
    fs::hard_link(config.join("one"), config.join("closed/two")).unwrap();
    for odd in [b"\xff\xfe".as_slice(), b"new\nline", b"-rf", b" ", b"\x1b[31m", &[b'x'; 255]] {
        put(&config.join(OsStr::from_bytes(odd)), "odd");
    }
    put(&config.join("setuid"), "x");
    fs::set_permissions(config.join("setuid"), fs::Permissions::from_mode(0o6751)).unwrap();
    fs::set_permissions(config.join("one"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(config.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let before = tree_hash(&config);

    // Only these are left out.
    let open = rustix::fs::open(&config, OFlags::RDONLY, Mode::empty()).unwrap();
    rustix::fs::mknodat(&open, "fifo", FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    rustix::fs::mknodat(&open, "zero", FileType::CharacterDevice, Mode::from_raw_mode(0o600), 0x105).unwrap();
    let _socket = UnixListener::bind(config.join("socket")).unwrap();

    let snapshot = SnapshotId::generate();
    let size = place.storage.snapshot_size(&place.id).await.unwrap();
    let taken = place.take(snapshot).await.unwrap();
    assert_eq!(tree_hash(&place.shelf(snapshot)), before);
    let inode = |name| fs::metadata(place.shelf(snapshot).join(name)).unwrap().ino();
    assert_eq!(inode("one"), inode("closed/two"));
    assert_ne!(inode("hard"), fs::metadata(place.canary()).unwrap().ino());
    assert!(fs::metadata(place.shelf(snapshot).join("sparse")).unwrap().blocks() < 1000);
    assert_eq!(size.files, taken.files);
    assert!(taken.bytes > 10 << 30 && size.bytes < 64 << 20, "{taken:?} {size:?}");
    assert_eq!(place.take(snapshot).await.unwrap(), taken);

    place.restore(snapshot, true).await.unwrap();
    assert_eq!(tree_hash(&config), before);
    place.storage.remove(&place.id).await.unwrap();
    place.assert_outside_untouched();
    place.assert_trash_empty();
}

#[tokio::test]
async fn times_are_kept() {
    let place = Place::new().await;
    place.fill();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    for name in ["openclaw.json", "state/sessions", "state", "."] {
        fs::File::open(place.config().join(name)).unwrap().set_modified(long_ago).unwrap();
    }
    let snapshot = SnapshotId::generate();
    place.take(snapshot).await.unwrap();
    place.restore(snapshot, false).await.unwrap();
    for name in ["openclaw.json", "state/sessions", "state", "."] {
        assert_eq!(fs::metadata(place.config().join(name)).unwrap().modified().unwrap(), long_ago, "{name}");
    }
}

/// More entries than are read at once, with directories in between, so that each is found again after each of them.
#[tokio::test]
async fn a_wide_directory_is_copied_whole() {
    let place = Place::new().await;
    for i in 0..500 {
        fs::create_dir(place.config().join(format!("{i}-directory"))).unwrap();
        put(&place.config().join(format!("{i}-directory/file")), "x");
        put(&place.config().join(format!("{i}-file")), "x");
    }
    let snapshot = SnapshotId::generate();
    assert_eq!(place.take(snapshot).await.unwrap().files, 1000);
    assert_eq!(tree_hash(&place.shelf(snapshot)), tree_hash(&place.config()));
}

#[tokio::test]
async fn a_restore_that_was_cut_short_is_finished_by_the_next() {
    for keep in [false, true] {
        let place = Place::new().await;
        place.fill();
        let (before, snapshot) = (tree_hash(&place.config()), SnapshotId::generate());
        place.take(snapshot).await.unwrap();
        place.change();
        let trash = place.dir.path().join(format!("data/.trash/{}-00112233", place.id));
        fs::rename(place.config(), trash).unwrap();
        fs::create_dir_all(place.restoring().join("half/state")).unwrap();
        put(&place.restoring().join("half/state/stale"), "x");

        place.restore(snapshot, keep).await.unwrap();
        assert_eq!(tree_hash(&place.config()), before);
        assert!(!place.restoring().exists());
        place.assert_trash_empty();
    }
}

#[tokio::test]
async fn a_restore_without_a_snapshot_loses_nothing() {
    let place = Place::new().await;
    place.fill();
    let (before, snapshot) = (tree_hash(&place.config()), SnapshotId::generate());
    assert!(place.restore(snapshot, true).await.unwrap_err().is_not_found());
    // A missing snapshot does not prove that an earlier attempt restored it.
    assert!(place.restore(snapshot, false).await.unwrap_err().is_not_found());
    assert_eq!(tree_hash(&place.config()), before);

    let aside = place.dir.path().join("aside");
    fs::rename(place.config(), &aside).unwrap();
    for keep in [false, true] {
        assert!(place.restore(snapshot, keep).await.unwrap_err().is_not_found());
    }
    assert!(place.take(snapshot).await.unwrap_err().is_not_found());
    let stranger = InstanceId::random();
    assert!(place.storage.restore_snapshot(&stranger, snapshot, false).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn parts_are_thrown_away_listed_and_removed() {
    let place = Place::new().await;
    place.fill();
    let (snapshot, other) = (SnapshotId::generate(), SnapshotId::generate());
    let partial = format!("{snapshot}.partial");
    fs::create_dir_all(place.shelf(&partial).join("half/state")).unwrap();
    fs::create_dir_all(place.shelf(format!("{other}.partial/half"))).unwrap();
    let mut found = place.snapshots().await;
    found.sort();
    assert_eq!(found, [partial, format!("{other}.partial")]);
    assert_eq!(place.storage.list().await.unwrap(), std::slice::from_ref(&place.id));

    place.take(snapshot).await.unwrap();
    assert_eq!(tree_hash(&place.shelf(snapshot)), tree_hash(&place.config()));
    place.storage.remove_snapshot(&place.id, other).await.unwrap();
    assert_eq!(place.snapshots().await, [snapshot.to_string()]);
    for _ in 0..2 {
        place.storage.remove_snapshot(&place.id, snapshot).await.unwrap();
    }
    assert_eq!(place.snapshots().await, Vec::<String>::new());
    place.storage.remove_snapshot(&InstanceId::random(), snapshot).await.unwrap();
    place.assert_trash_empty();
}

#[tokio::test]
async fn removal_of_an_instance_takes_its_snapshots_and_no_others() {
    let place = Place::new().await;
    let neighbour = InstanceId::random();
    place.storage.create(&neighbour).await.unwrap();
    let snapshot = SnapshotId::generate();
    place.take(snapshot).await.unwrap();
    place.storage.take_snapshot(&neighbour, snapshot, &CancellationToken::new()).await.unwrap();
    place.storage.remove(&place.id).await.unwrap();
    assert_eq!(place.storage.snapshots().await.unwrap(), [(neighbour, snapshot.to_string())]);
    place.assert_trash_empty();
}

#[tokio::test]
async fn one_that_is_cancelled_is_not_complete() {
    let place = Place::new().await;
    place.fill();
    let (snapshot, cancel) = (SnapshotId::generate(), CancellationToken::new());
    cancel.cancel();
    let error = place.storage.take_snapshot(&place.id, snapshot, &cancel).await.unwrap_err();
    assert!(matches!(error, StorageError::Cancelled));
    assert_eq!(place.snapshots().await, [format!("{snapshot}.partial")]);
    place.take(snapshot).await.unwrap();
    assert_eq!(place.snapshots().await, [snapshot.to_string()]);
}

/// A gibibyte of hole takes neither time nor space to copy. Its data is not copied once cancelled.
#[tokio::test]
async fn a_single_file_is_no_reason_not_to_stop() {
    let place = Place::new().await;
    let work = dir::open_root(place.dir.path()).unwrap();
    let new = |name| dir::make(&work, name, 0o700, None).unwrap();
    let cancel = CancellationToken::new();
    let copier = copy::Copier::new(new("target"), new("links"), &cancel);
    let open = |name| {
        let path = place.dir.path().join(name);
        fs::File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap()
    };
    let (from, to) = (open("from"), open("to"));
    from.set_len(1 << 30).unwrap();
    copier.copy_data(&from, &to, 1 << 30, c"from").unwrap();
    assert_eq!((to.metadata().unwrap().len(), to.metadata().unwrap().blocks()), (1 << 30, 0));

    put(&place.dir.path().join("from"), "data");
    cancel.cancel();
    let error = copier.copy_data(&from, &to, 4, c"from").unwrap_err();
    assert!(matches!(error, StorageError::Cancelled));
}

/// An attempt that lost its lease continues while the next attempt runs.
#[tokio::test]
async fn an_attempt_that_was_given_up_publishes_nothing() {
    let place = Place::new().await;
    place.fill();
    let (name, inner) = (SnapshotId::generate(), place.storage.inner());
    let shelf = dir::make(&inner.snapshots, place.id.as_str(), 0o700, None).unwrap();
    let attempt = || {
        let config = dir::open_root(&place.config()).unwrap();
        let partial = format!("{name}.partial");
        snapshot::copy_aside(&inner, place.id.as_str(), config, &shelf, &partial, &CancellationToken::new()).unwrap().0
    };
    let (given_up, next) = (attempt(), attempt());
    assert!(!place.shelf(given_up).exists());
    assert!(place.shelf(next).exists());
}

/// A tmpfs at a data directory, until this is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "clawdeploy-test"]).arg(&path).status();
        assert!(status.unwrap().success(), "mount failed; these tests need root");
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_given_back() {
    let mut place = Place::new().await;
    let disk = SmallDisk::mount(place.dir.path().join("small"));
    place.storage = Storage::open(&disk.0).await.unwrap();
    place.storage.create(&place.id).await.unwrap();
    put(&place.config().join("half"), &"x".repeat(400_000));
    let kept = SnapshotId::generate();
    place.take(kept).await.unwrap();
    let (before, free) = (tree_hash(&place.config()), place.storage.free_bytes().await.unwrap());

    let snapshot = SnapshotId::generate();
    assert!(place.take(snapshot).await.unwrap_err().is_disk_full());
    assert_eq!(place.storage.free_bytes().await.unwrap(), free);
    assert_eq!(place.snapshots().await, [kept.to_string()]);
    assert!(place.restore(kept, true).await.unwrap_err().is_disk_full());
    assert_eq!(place.storage.free_bytes().await.unwrap(), free);
    assert_eq!(tree_hash(&place.config()), before);
    place.restore(kept, false).await.unwrap();
    assert_eq!(tree_hash(&place.config()), before);
}
