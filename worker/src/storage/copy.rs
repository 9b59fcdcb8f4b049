//! Copies a tree of a tenant's making into a directory that only we reach.
//!
//! Keeps owners, modes, times, links and holes. Skips sockets, devices and FIFOs: they hold nothing, and programs
//! create them at their start. Skips extended attributes too.

use std::{
    ffi::CStr,
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt as _,
    },
};

use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, UTIME_OMIT, Uid},
    io::Errno,
};
use tokio_util::sync::CancellationToken;

use super::{
    dir::{openat2, set_mode},
    error::{StorageError, at},
    walk::{Tally, Visitor, changing, shown, up},
};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Non-blocking: a former file may be a FIFO by now.
const SOURCE: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const TARGET: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Bytes between two checks for cancellation.
const CHUNK: u64 = 8 << 20;
/// Read size where the kernel does not copy for us, in bytes.
const BUFFER: usize = 128 << 10;

/// The visitor that copies.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    /// The copy of the current directory.
    here: OwnedFd,
    /// Holds one name of each file with several names, by the inode of its source.
    links: OwnedFd,
    cancel: &'a CancellationToken,
    clones: bool,
    pub(super) tally: Tally,
    /// Whether bytes were copied, because the file system could not share them.
    pub(super) copied: bool,
}

impl<'a> Copier<'a> {
    /// Fills `target`. `links` is a scratch directory beside it. Both are empty.
    pub(super) fn new(target: OwnedFd, links: OwnedFd, cancel: &'a CancellationToken) -> Self {
        let clones = clones(&links);
        Self { here: target, links, cancel, clones, tally: Tally::default(), copied: !clones }
    }

    fn file(&mut self, parent: &OwnedFd, name: &CStr) -> Result<(), StorageError> {
        let fail = |errno: Errno| at("copy", shown(name))(errno);
        let from = match openat2(parent, name, SOURCE, Mode::empty()) {
            Ok(from) => File::from(from),
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Err(changing(name)),
            Err(errno) => return Err(fail(errno)),
        };
        let stat = rustix::fs::fstat(&from).map_err(fail)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(changing(name));
        }
        self.tally.count(&stat);
        let held = stat.st_ino.to_string();
        if stat.st_nlink > 1 {
            match rustix::fs::linkat(&self.links, held.as_str(), &self.here, name, AtFlags::empty()) {
                Ok(()) => return Ok(()),
                // The first of its names, or more names than a file may have.
                Err(Errno::NOENT | Errno::MLINK) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        let to = File::from(openat2(&self.here, name, TARGET, Mode::from_raw_mode(0o600)).map_err(fail)?);
        if !self.cloned(&from, &to).map_err(fail)? {
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            self.copy_data(&from, &to, size, name)?;
        }
        settle(&to, &stat).map_err(fail)?;
        if stat.st_nlink > 1 {
            match rustix::fs::linkat(&self.here, name, &self.links, held.as_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::EXIST | Errno::MLINK) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        Ok(())
    }

    /// Shares the bytes between both files. False: not supported.
    fn cloned(&mut self, from: &File, to: &File) -> Result<bool, Errno> {
        if !self.clones {
            return Ok(false);
        }
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::TXTBSY) => {
                self.copied = true;
                Ok(false)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Copies `size` bytes except the holes. Appended data is left out.
    pub(super) fn copy_data(&self, from: &File, to: &File, size: u64, name: &CStr) -> Result<(), StorageError> {
        let fail = |errno: Errno| at("copy", shown(name))(errno);
        rustix::fs::ftruncate(to, size).map_err(fail)?;
        let mut done = 0;
        while done < size {
            let start = match rustix::fs::seek(from, SeekFrom::Data(done)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                Err(errno) => return Err(fail(errno)),
            };
            let end = match rustix::fs::seek(from, SeekFrom::Hole(start)) {
                Ok(end) => end.min(size),
                Err(Errno::NXIO) => break,
                Err(errno) => return Err(fail(errno)),
            };
            done = start;
            while done < end {
                if self.cancel.is_cancelled() {
                    return Err(StorageError::Cancelled);
                }
                let copied = copy_chunk(from, to, done, CHUNK.min(end - done)).map_err(at("copy", shown(name)))?;
                if copied == 0 {
                    return Ok(());
                }
                done += copied;
            }
        }
        Ok(())
    }

    fn link(&mut self, parent: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), StorageError> {
        let fail = |errno: Errno| at("copy", shown(name))(errno);
        let target = match rustix::fs::readlinkat(parent, name, Vec::new()) {
            Ok(target) => target,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::INVAL) => return Err(changing(name)),
            Err(errno) => return Err(fail(errno)),
        };
        let (uid, gid) = owner(stat);
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::symlinkat(&target, &self.here, name).map_err(fail)?;
        rustix::fs::chownat(&self.here, name, uid, gid, nofollow).map_err(fail)?;
        rustix::fs::utimensat(&self.here, name, &times(stat), nofollow).map_err(fail)?;
        self.tally.count(stat);
        Ok(())
    }
}

impl Visitor for Copier<'_> {
    fn enter(&mut self, name: &CStr, stat: &Stat) -> Result<(), StorageError> {
        rustix::fs::mkdirat(&self.here, name, Mode::from_raw_mode(0o700)).map_err(at("copy", shown(name)))?;
        self.here = openat2(&self.here, name, DIRECTORY, Mode::empty()).map_err(at("copy", shown(name)))?;
        self.tally.count(stat);
        Ok(())
    }

    fn leave(&mut self, stat: &Stat, top: bool) -> Result<(), StorageError> {
        // Only now, because creating entries changes a directory's time.
        settle(&self.here, stat).map_err(at("copy", "a directory"))?;
        if !top {
            // Only we move anything here, so this is the directory that we came from.
            self.here = up(&self.here)?;
        }
        Ok(())
    }

    fn entry(&mut self, parent: &OwnedFd, name: &CStr, stat: &Stat) -> Result<(), StorageError> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(parent, name),
            FileType::Symlink => self.link(parent, name, stat),
            _ => Ok(()),
        }
    }
}

/// Whether files in this directory can share their bytes.
pub(super) fn clones(dir: &OwnedFd) -> bool {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let nameless = || openat2(dir, c".", flags, Mode::from_raw_mode(0o600));
    let tried = nameless().and_then(|one| rustix::fs::ioctl_ficlone(one, nameless()?));
    tried.is_ok()
}

fn copy_chunk(from: &File, to: &File, start: u64, length: u64) -> std::io::Result<u64> {
    let (mut read, mut written) = (start, start);
    let whole = usize::try_from(length).unwrap_or(BUFFER);
    match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), whole) {
        Ok(copied) => return Ok(copied as u64),
        Err(Errno::INTR | Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut buffer = vec![0; whole.min(BUFFER)];
    let copied = from.read_at(&mut buffer, start)?;
    to.write_all_at(&buffer[..copied], start)?;
    Ok(copied as u64)
}

/// Copies owner, mode and time. The owner first: changing it clears bits of the mode.
fn settle(file: impl AsFd, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = owner(stat);
    rustix::fs::fchown(&file, uid, gid)?;
    set_mode(&file, stat.st_mode & 0o7777)?;
    rustix::fs::futimens(&file, &times(stat))
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn times(stat: &Stat) -> Timestamps {
    let nanoseconds = stat.st_mtime_nsec.try_into().unwrap_or(0);
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: nanoseconds },
    }
}
