//! A worker's clock that is wrong, by libfaketime (Debian: `faketime`).

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::env::WorkerOptions;

/// Hours by which the clock of one worker is wrong. It may be changed while that runs.
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

    /// From now on it is wrong by so many hours.
    pub fn jump(&self, hours: i32) {
        // By a rename: the worker reads it at any moment.
        let new = self.file.with_extension("new");
        let mut file = std::fs::File::create(&new).expect("the clock");
        writeln!(file, "{hours:+}h").expect("the clock");
        std::fs::rename(&new, &self.file).expect("the clock");
    }

    /// A worker that goes by it. Only the time of day is wrong: a clock that measures time never jumps.
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
