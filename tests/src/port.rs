//! Ports for servers of tests.

use std::{
    fs::File,
    net::TcpListener,
    sync::{Mutex, PoisonError},
};

use crate::lock;

/// Above the ports of the slots, and below those for outgoing connections (from 32768, `ip(7)`): no server can listen
/// on a port while an outgoing connection holds it, which may last a minute after its end.
const PORTS: std::ops::Range<u16> = 23_000..25_000;

/// Locks of the ports that this process has taken. It keeps them until it ends, so that a server can restart on its
/// port.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A free port on loopback, for this process until it ends.
pub fn take() -> u16 {
    let dir = std::env::temp_dir().join("clawdeploy-test-ports");
    // Random, because tests that run in parallel would all try the same port first.
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
