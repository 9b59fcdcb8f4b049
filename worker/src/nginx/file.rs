//! The map on disk, replaced atomically and never by an older one.
//!
//! The lock is held only for the comparison and the rename. A worker that stood still between reading the rows and
//! writing them then finds a higher number in the lock file and is refused.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crate::kill_point::kill_point;

/// How long to wait for another worker's lock.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// Paths of the map and its companions.
#[derive(Debug, Clone)]
pub(super) struct MapFile {
    map: PathBuf,
}

/// The result of publishing a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    Yes,
    /// A later reading, with this number, is already in place.
    Superseded(i64),
}

impl MapFile {
    pub(super) fn new(map: &Path) -> Self {
        Self { map: map.to_owned() }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.map.clone().into_os_string();
        path.push(ending);
        path.into()
    }

    fn lock_path(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// The current map, empty if there is no file.
    pub(super) fn text(&self) -> io::Result<String> {
        match std::fs::read(&self.map) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    /// The generation of the last reading that was published or found to be current.
    pub(super) fn known(&self) -> io::Result<i64> {
        match File::open(self.lock_path()) {
            Ok(mut file) => number_in(&mut file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Writes a candidate beside the map, under a name that no `include` matches. Dropping it removes the file.
    pub(super) fn candidate(&self, text: &str) -> io::Result<Candidate> {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let path = self.beside(&format!(".new-{}", &unique[..12]));
        let candidate = Candidate { path };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&candidate.path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(candidate)
    }

    /// Puts a candidate in the map's place, or only records that the map is current as of this reading.
    pub(super) fn publish(&self, generation: i64, candidate: Option<&Candidate>) -> io::Result<Published> {
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(self.lock_path())?;
        lock_within(&lock, LOCK_LIMIT)?;
        let known = number_in(&mut lock)?;
        if known > generation {
            return Ok(Published::Superseded(known));
        }
        if let Some(candidate) = candidate {
            kill_point("nginx", "map", "written");
            std::fs::rename(&candidate.path, &self.map)?;
            kill_point("nginx", "map", "renamed");
            if let Some(dir) = self.map.parent() {
                File::open(dir)?.sync_all()?;
            }
        }
        lock.rewind()?;
        // Never shorter than the current content, so that a crash leaves a number.
        lock.write_all(format!("{generation}\n").as_bytes())?;
        lock.sync_data()?;
        Ok(Published::Yes)
    }

    /// Removes candidates of dead workers.
    pub(super) fn tidy(&self, older_than: Duration) -> io::Result<()> {
        let (Some(dir), Some(name)) = (self.map.parent(), self.map.file_name()) else { return Ok(()) };
        let prefix = format!("{}.new-", name.to_string_lossy());
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
            if entry.file_name().to_string_lossy().starts_with(&prefix) && age.is_some_and(|age| age > older_than) {
                match std::fs::remove_file(entry.path()) {
                    // Another worker was first.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Records that nginx was told to reload.
    pub(super) fn note_reload(&self) -> io::Result<()> {
        let mark =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(self.beside(".reload"))?;
        mark.set_modified(SystemTime::now())
    }

    /// Time since any worker told nginx to reload. `None`: never, or the clock was set back since.
    pub(super) fn since_reload(&self) -> Option<Duration> {
        std::fs::metadata(self.beside(".reload")).ok()?.modified().ok()?.elapsed().ok()
    }
}

/// A file that may become the map. Dropping it removes the file, unless it was published.
#[derive(Debug)]
pub(super) struct Candidate {
    pub path: PathBuf,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn number_in(file: &mut File) -> io::Result<i64> {
    let mut text = String::new();
    file.rewind()?;
    file.take(64).read_to_string(&mut text)?;
    Ok(text.lines().next().and_then(|line| line.parse().ok()).unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "runs on a thread for blocking work")]
fn lock_within(file: &File, limit: Duration) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() < limit => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another worker holds the lock of the map"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_earlier_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = MapFile::new(&dir.path().join("ports.conf"));
        let put = |generation: i64, text: &str| {
            let candidate = file.candidate(text).unwrap();
            file.publish(generation, Some(&candidate)).unwrap()
        };
        assert_eq!(put(8, "eight"), Published::Yes);
        assert_eq!(put(7, "seven"), Published::Superseded(8));
        assert_eq!(file.publish(9, None).unwrap(), Published::Yes);
        assert_eq!(put(8, "eight once more"), Published::Superseded(9), "though the file itself is of the eighth");
        assert_eq!((file.text().unwrap().as_str(), file.known().unwrap()), ("eight", 9));
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}
