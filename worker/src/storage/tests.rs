mod races;
mod snapshots;
mod tree;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use rustix::fs::{FileType, Mode, OFlags};

use super::*;

/// A data directory beside a file that no tenant may reach. Sets owners, so these tests need root.
struct Place {
    dir: tempfile::TempDir,
    storage: Storage,
    id: InstanceId,
}

impl Place {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        put(&dir.path().join("outside/canary"), "untouched");
        let storage = Storage::open(&dir.path().join("data")).await.unwrap();
        let id = InstanceId::random();
        storage.create(&id).await.unwrap();
        Self { dir, storage, id }
    }

    fn config(&self) -> PathBuf {
        self.storage.paths(&self.id).0
    }

    fn canary(&self) -> PathBuf {
        self.dir.path().join("outside/canary")
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.storage.read_config_file(&self.id, name, 1024).await
    }

    async fn write(&self, name: &str, text: &str) -> Result<(), StorageError> {
        self.storage.write_config_file(&self.id, name, text.into()).await
    }

    /// Whatever was done, the file outside has not changed.
    fn assert_outside_untouched(&self) {
        let meta = fs::metadata(self.canary()).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (0, 0o644));
        assert_eq!(fs::read_to_string(self.canary()).unwrap(), "untouched");
    }
}

fn put(path: &Path, text: &str) {
    use std::io::Write as _;
    fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn owner_and_mode(path: &Path) -> (u32, u32, u32) {
    let meta = fs::symlink_metadata(path).unwrap();
    (meta.uid(), meta.gid(), meta.mode() & 0o7777)
}

fn names(path: &Path) -> Vec<String> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn directories_have_their_owners_and_come_back_to_them() {
    let place = Place::new().await;
    let (config, workspace) = place.storage.paths(&place.id);
    fs::set_permissions(&config, fs::Permissions::from_mode(0o777)).unwrap();
    place.write("openclaw.json", "{}").await.unwrap();
    place.storage.create(&place.id).await.unwrap();
    for tenant in [&config, &workspace] {
        assert_eq!(owner_and_mode(tenant), (1000, 1000, 0o700), "{}", tenant.display());
    }
    assert_eq!(owner_and_mode(config.parent().unwrap()), (0, 0, 0o700));
    assert_eq!(owner_and_mode(&config.join("openclaw.json")), (1000, 1000, 0o600));
    assert_eq!(place.read("openclaw.json").await.unwrap().as_deref(), Some(b"{}".as_slice()));
    assert!(place.storage.exists(&place.id).await.unwrap());
    assert_eq!(place.storage.list().await.unwrap(), std::slice::from_ref(&place.id));
    assert!(place.storage.free_bytes().await.unwrap() > 0);
}

#[tokio::test]
async fn a_missing_file_is_none_and_a_missing_directory_is_an_error() {
    let place = Place::new().await;
    assert_eq!(place.read("openclaw.json").await.unwrap(), None);
    let stranger = InstanceId::random();
    assert!(!place.storage.exists(&stranger).await.unwrap());
    assert_eq!(place.storage.read_config_file(&stranger, "openclaw.json", 10).await.unwrap(), None);
    let error = place.storage.write_config_file(&stranger, "openclaw.json", Vec::new()).await.unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test]
async fn links_are_neither_read_nor_written_through() {
    let place = Place::new().await;
    symlink(place.canary(), place.config().join("openclaw.json")).unwrap();
    assert!(matches!(place.read("openclaw.json").await, Err(StorageError::Unsafe { .. })));
    place.write("openclaw.json", "ours").await.unwrap();
    assert_eq!(place.read("openclaw.json").await.unwrap().as_deref(), Some(b"ours".as_slice()));

    fs::hard_link(place.canary(), place.config().join("hard")).unwrap();
    assert!(matches!(place.read("hard").await, Err(StorageError::Unsafe { what: "hard-linked", .. })));
    place.write("hard", "ours").await.unwrap();
    place.assert_outside_untouched();
}

#[tokio::test]
async fn what_would_block_or_never_end_is_refused() {
    let place = Place::new().await;
    let config = rustix::fs::open(place.config(), OFlags::RDONLY, Mode::empty()).unwrap();
    rustix::fs::mknodat(&config, "openclaw.json", FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(matches!(place.read("openclaw.json").await, Err(StorageError::Unsafe { .. })));
    place.write("openclaw.json", "ours").await.unwrap();

    rustix::fs::mknodat(&config, "zero", FileType::CharacterDevice, Mode::from_raw_mode(0o600), 0x105).unwrap();
    assert!(matches!(place.read("zero").await, Err(StorageError::Unsafe { .. })));
    let _socket = std::os::unix::net::UnixListener::bind(place.config().join("socket")).unwrap();
    assert!(matches!(place.read("socket").await, Err(StorageError::Unsafe { .. })));
    fs::create_dir(place.config().join("directory")).unwrap();
    assert!(matches!(place.read("directory").await, Err(StorageError::Unsafe { .. })));
    assert!(place.write("directory", "ours").await.is_err());

    put(&place.config().join("big"), &"x".repeat(1025));
    assert!(matches!(place.read("big").await, Err(StorageError::TooBig { cap: 1024, .. })));
    put(&place.config().join("fits"), &"x".repeat(1024));
    assert_eq!(place.read("fits").await.unwrap().map(|bytes| bytes.len()), Some(1024));
}

#[tokio::test]
async fn whatever_is_there_is_kept_beside_and_nothing_is_replaced() {
    let place = Place::new().await;
    let config = place.config();
    let mut kept = Vec::new();
    // More often than timestamps in seconds could distinguish.
    for _ in 0..3 {
        symlink(place.canary(), config.join("openclaw.json")).unwrap();
        kept.push(place.storage.keep_config_file(&place.id, "openclaw.json").await.unwrap());
    }
    fs::create_dir(config.join("openclaw.json")).unwrap();
    kept.push(place.storage.keep_config_file(&place.id, "openclaw.json").await.unwrap());
    assert!(kept.iter().all(|name| name.starts_with("openclaw.json.kept-")), "{kept:?}");
    let (mut there, directory) = (names(&config), kept[3].clone());
    kept.sort();
    there.sort();
    assert_eq!(there, kept);
    assert!(config.join(directory).is_dir());
    assert!(place.storage.keep_config_file(&place.id, "openclaw.json").await.unwrap_err().is_not_found());
    place.assert_outside_untouched();
}

#[tokio::test]
async fn a_directory_that_became_a_link_is_not_entered() {
    let place = Place::new().await;
    fs::remove_dir(place.config()).unwrap();
    symlink(place.dir.path().join("outside"), place.config()).unwrap();
    assert!(matches!(place.read("canary").await, Err(StorageError::Unsafe { .. })));
    assert!(place.write("canary", "ours").await.is_err());
    assert!(matches!(place.storage.create(&place.id).await, Err(StorageError::Unsafe { .. })));
    place.assert_outside_untouched();
}

/// A tenant swaps its file for a link repeatedly, while we read and write it.
#[tokio::test]
async fn a_file_that_keeps_changing_never_leads_outside() {
    let place = Place::new().await;
    symlink(place.canary(), place.config().join("link")).unwrap();
    let config = rustix::fs::open(place.config(), OFlags::RDONLY, Mode::empty()).unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let tenant = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = rustix::fs::renameat_with(&config, "openclaw.json", &config, "link", RenameFlags::EXCHANGE);
            }
        }
    });
    for _ in 0..300 {
        place.write("openclaw.json", "ours").await.unwrap();
        match place.read("openclaw.json").await {
            Ok(Some(bytes)) => assert_eq!(bytes, b"ours"),
            Ok(None) | Err(StorageError::Unsafe { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    tenant.join().unwrap();
    place.assert_outside_untouched();
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    let place = Place::new().await;
    for bad in ["", ".", "..", "../canary", "a/b", "/etc/passwd", "nul\0", "new\nline", &"x".repeat(101)] {
        assert!(matches!(place.read(bad).await, Err(StorageError::BadName(_))), "{bad:?}");
        assert!(matches!(place.write(bad, "").await, Err(StorageError::BadName(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn what_a_killed_writer_left_is_cleaned_up() {
    let place = Place::new().await;
    put(&place.config().join(".openclaw.json.new-00112233"), "half");
    put(&place.config().join(".env.new-00112233"), "another's");
    fs::create_dir(place.config().join(".openclaw.json.new-planted")).unwrap();
    place.write("openclaw.json", "whole").await.unwrap();
    let mut left = names(&place.config());
    left.sort();
    assert_eq!(left, [".env.new-00112233", ".openclaw.json.new-planted", "openclaw.json"]);
}

/// A job and a sweep write the manifest of the same instance: neither takes the other's file for a leftover.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_the_same_time_do_not_disturb_each_other() {
    let place = Place::new().await;
    let write = async |text: &str| {
        for _ in 0..100 {
            assert!(place.storage.write_manifest(&place.id, text.into()).await.unwrap());
        }
    };
    tokio::join!(write("one"), write("two"), write("three"), write("four"));
    let last = place.storage.read_manifest(&place.id).await.unwrap().unwrap();
    assert!(["one", "two", "three", "four"].contains(&str::from_utf8(&last).unwrap()), "{last:?}");
}

#[tokio::test]
async fn removal_takes_the_tree_and_nothing_it_points_to() {
    let place = Place::new().await;
    let neighbour = InstanceId::random();
    place.storage.create(&neighbour).await.unwrap();
    let (config, workspace) = place.storage.paths(&place.id);
    symlink(place.dir.path().join("outside"), config.join("out")).unwrap();
    symlink("loop", config.join("loop")).unwrap();
    fs::hard_link(place.canary(), config.join("hard")).unwrap();
    fs::create_dir_all(workspace.join("a/b/c")).unwrap();
    put(&workspace.join("a/b/c/file"), "x");
    fs::set_permissions(workspace.join("a/b"), fs::Permissions::from_mode(0o000)).unwrap();

    place.storage.remove(&place.id).await.unwrap();
    place.storage.remove(&place.id).await.unwrap();
    assert!(!place.storage.exists(&place.id).await.unwrap());
    assert_eq!(place.storage.list().await.unwrap(), [neighbour]);
    assert_eq!(names(&place.dir.path().join("data/.trash")), Vec::<String>::new());
    place.assert_outside_untouched();
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_finished_by_the_next() {
    let place = Place::new().await;
    let trash = place.dir.path().join("data/.trash");
    fs::create_dir_all(trash.join(format!("{}-00112233/config", place.id))).unwrap();
    fs::create_dir_all(trash.join("other-00112233/config")).unwrap();
    place.storage.remove(&place.id).await.unwrap();
    assert_eq!(names(&trash), ["other-00112233"]);
    assert_eq!(place.storage.trash().await.unwrap(), [("other-00112233".to_owned(), None)]);
    place.storage.discard("other-00112233").await.unwrap();
    place.storage.discard("other-00112233").await.unwrap();
    assert_eq!(place.storage.trash().await.unwrap(), []);
    place.storage.discard("../canary").await.unwrap_err();
}

/// Deeper than there are file handles, and than a path can name.
#[tokio::test]
async fn a_bottomless_tree_is_removed() {
    let place = Place::new().await;
    let (_, workspace) = place.storage.paths(&place.id);
    let mut dir = rustix::fs::open(&workspace, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..30_000 {
        rustix::fs::mkdirat(&dir, "d", Mode::from_raw_mode(0o755)).unwrap();
        dir = rustix::fs::openat(&dir, "d", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    place.storage.remove(&place.id).await.unwrap();
    assert!(!workspace.exists());
    assert_eq!(names(&place.dir.path().join("data/.trash")), Vec::<String>::new());
}

/// More entries in one directory than are read at once.
#[tokio::test]
async fn a_wide_directory_is_removed() {
    let place = Place::new().await;
    let (_, workspace) = place.storage.paths(&place.id);
    fs::create_dir(workspace.join("wide")).unwrap();
    for i in 0..5000 {
        fs::create_dir(workspace.join(format!("wide/{i}"))).unwrap();
    }
    place.storage.remove(&place.id).await.unwrap();
    assert!(!workspace.exists());
}
