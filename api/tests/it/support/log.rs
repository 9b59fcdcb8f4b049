//! The API's log, kept for tests to read.

use std::{
    io,
    sync::{Mutex, OnceLock},
};

use tracing_subscriber::EnvFilter;

static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();

/// Starts keeping the log. Tests in one process share it; nextest runs each test in its own process.
pub(super) fn start() {
    let filter = EnvFilter::new("info,clawdeploy_api=debug");
    // This works only once per process.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Kept).try_init();
}

/// The whole log.
pub(crate) fn log() -> String {
    String::from_utf8_lossy(&kept().lock().unwrap()).into_owned()
}

fn kept() -> &'static Mutex<Vec<u8>> {
    LOG.get_or_init(Mutex::default)
}

struct Kept;

impl io::Write for Kept {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        kept().lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
