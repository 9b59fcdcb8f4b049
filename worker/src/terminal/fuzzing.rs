//! The replay buffer of a terminal, for the fuzz target `terminal_replay`.

use super::replay;

/// How much is kept, in bytes.
pub const CAP: usize = replay::CAP;

/// The last output of a terminal, by the offset of each byte.
#[derive(Debug, Default)]
pub struct ReplayBuffer(replay::ReplayBuffer);

impl ReplayBuffer {
    pub fn start(&self) -> u64 {
        self.0.start()
    }

    pub fn end(&self) -> u64 {
        self.0.end()
    }

    pub fn push(&mut self, new: &[u8]) {
        self.0.push(new);
    }

    pub fn read(&self, from: u64, most: usize) -> Vec<u8> {
        self.0.read(from, most)
    }

    pub fn beginning(&self) -> u64 {
        self.0.beginning()
    }
}
