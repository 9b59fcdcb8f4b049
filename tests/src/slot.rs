//! Slots: shares of the machine's ports and addresses. A test holds one while it runs.
//!
//! A slot is a locked file, so tests of other runs on the machine are kept apart too, and the slot of a killed test is
//! free at once. Who takes a slot removes what its last holder left behind.

use std::{
    fs::File,
    time::{Duration, Instant},
};

use crate::lock;

const SLOTS: u16 = 32;
const PORTS: u16 = 50;
const FIRST_PORT: u16 = 21000;
const FIRST_API_PORT: u16 = 19000;

/// A share of the machine's ports and addresses.
#[derive(Debug)]
pub struct Slot {
    number: u16,
    _lock: File,
}

impl Slot {
    /// Takes a free slot, and waits if there is none.
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

    /// Addresses for networks: enough for 64 of them, more than there are ports.
    pub fn network_pool(&self) -> String {
        format!("10.222.{}.0/23", self.number * 2)
    }

    /// Prefix of the deployment labels of this slot.
    pub fn prefix(&self) -> String {
        format!("cdtest-{}-", self.number)
    }
}
