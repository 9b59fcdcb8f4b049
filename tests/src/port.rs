//! Ports for servers of a test's own.

use std::{
    fs::File,
    net::TcpListener,
    sync::{Mutex, PoisonError},
};

use crate::lock;

/// Below those that the kernel gives to outgoing connections (32768 on, `ip(7)`): while such a connection has a port, which may be as
/// long as a minute after its end, no server can listen there. Above those of the slots.
const PORTS: std::ops::Range<u16> = 23_000..25_000;

/// What this process has taken: nobody else gets it as long as it runs, so that a server can be stopped and come back.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port on loopback that nothing listens on, for this process until it ends.
pub fn take() -> u16 {
    let dir = std::env::temp_dir().join("clawdeploy-test-ports");
    // Not the first that is free: tests that run beside each other would all try the same.
    let first = rand::random_range(PORTS);
    for port in (first..PORTS.end).chain(PORTS.start..first) {
        if let Some(file) = lock::try_lock(&dir, &port.to_string())
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
        {
            TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            return port;
        }
    }
    panic!("no port from {PORTS:?} is free");
}
