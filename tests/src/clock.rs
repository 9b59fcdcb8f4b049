//! A wrong clock for a worker, by libfaketime (Debian: `faketime`).

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::env::WorkerOptions;

/// The offset of one worker's clock in hours. It may change while the worker runs.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// A clock that is right.
    pub fn new(dir: &Path) -> Self {
        let clock = Self { file: dir.join("clock") };
        clock.jump(0);
        clock
    }

    /// Sets the offset.
    pub fn jump(&self, hours: i32) {
        // Renamed into place, because the worker may read it at any moment.
        let new = self.file.with_extension("new");
        let mut file = std::fs::File::create(&new).expect("the clock");
        writeln!(file, "{hours:+}h").expect("the clock");
        std::fs::rename(&new, &self.file).expect("the clock");
    }

    /// A worker with this clock. Only the wall clock is wrong; the monotonic clock is not.
    pub fn worker(&self) -> WorkerOptions {
        let library = ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime"]
            .map(|dir| Path::new(dir).join("libfaketimeMT.so.1"));
        let library = library.iter().find(|path| path.exists()).expect("libfaketime; Debian has it in faketime");
        WorkerOptions::default()
            .set("LD_PRELOAD", &library.display().to_string())
            .set("FAKETIME_TIMESTAMP_FILE", &self.file.display().to_string())
            .set("FAKETIME_NO_CACHE", "1")
            .set("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .set("DONT_FAKE_MONOTONIC", "1")
    }
}
