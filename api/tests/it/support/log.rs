//! What the API logs, kept for tests to read.

use std::{
    io,
    sync::{Mutex, OnceLock},
};

use tracing_subscriber::EnvFilter;

static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();

/// Begins to keep it. Tests that share a process share the log; nextest gives each one a process.
pub(super) fn start() {
    let filter = EnvFilter::new("info,clawdeploy_api=debug");
    // Once in a process.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Kept).try_init();
}

/// Everything that was logged.
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
