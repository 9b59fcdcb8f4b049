//! Shares out what the machine has once: ports and addresses. Each test holds one slot of them while it runs.
//!
//! A slot is a locked file, so that tests of other runs on the machine keep out of each other's way too, and the slot of
//! a test that was killed is free at once. Whoever takes a slot removes what its last holder left.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use crate::lock;

const SLOTS: u16 = 32;
const PORTS: u16 = 50;
const FIRST_PORT: u16 = 21000;
const FIRST_API_PORT: u16 = 19000;

/// A share of the machine.
#[derive(Debug)]
pub struct Slot {
    number: u16,
    _lock: File,
}

impl Slot {
    /// Takes a free slot, waiting where all are taken.
    pub fn take() -> Self {
        let dir = std::env::temp_dir().join("clawdeploy-test-slots");
        let began = Instant::now();
        loop {
            for number in 0..SLOTS {
                if let Some(lock) = lock::try_lock(&dir, &number.to_string()) {
                    return Self { number, _lock: lock };
                }
            }
            assert!(began.elapsed() < Duration::from_mins(2), "all {SLOTS} slots are taken");
            #[expect(clippy::disallowed_methods, reason = "there is nothing to do without a slot")]
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// Port of the n-th API process.
    pub fn api_port(&self, nth: u16) -> u16 {
        assert!(nth < 4, "a slot has four API ports");
        FIRST_API_PORT + self.number * 4 + nth
    }

    /// First and last port for instances.
    pub fn ports(&self) -> (u16, u16) {
        let first = FIRST_PORT + self.number * PORTS;
        (first, first + PORTS - 1)
    }

    /// Addresses for networks: 64 of them, more than there are ports.
    pub fn network_pool(&self) -> String {
        format!("10.222.{}.0/23", self.number * 2)
    }

    /// What the deployment labels of this slot begin with.
    pub fn prefix(&self) -> String {
        format!("cdtest-{}-", self.number)
    }
}
