//! The last output of a terminal, addressed by the offset of each byte since its start.

/// Capacity in bytes.
pub(super) const CAP: usize = 1 << 20;

/// A ring buffer of bytes. Its memory grows as it fills.
#[derive(Debug, Default)]
pub(super) struct ReplayBuffer {
    bytes: Vec<u8>,
    /// Offset after the newest byte.
    end: u64,
}

impl ReplayBuffer {
    /// Offset of the oldest byte that is kept.
    pub(super) fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// Offset after the newest byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn push(&mut self, new: &[u8]) {
        for piece in new.chunks(CAP) {
            let (fresh, over) = piece.split_at(piece.len().min(CAP - self.bytes.len()));
            self.bytes.extend_from_slice(fresh);
            self.end += fresh.len() as u64;
            let at = place(self.end);
            let (first, second) = over.split_at(over.len().min(CAP - at));
            self.bytes[at..at + first.len()].copy_from_slice(first);
            self.bytes[..second.len()].copy_from_slice(second);
            self.end += over.len() as u64;
        }
    }

    /// Up to `most` bytes from an offset, or from the nearest kept one.
    pub(super) fn read(&self, from: u64, most: usize) -> Vec<u8> {
        let from = from.clamp(self.start(), self.end);
        let length = usize::try_from(self.end - from).unwrap_or(CAP).min(most);
        let at = place(from);
        let first = length.min(self.bytes.len() - at.min(self.bytes.len()));
        let mut read = Vec::with_capacity(length);
        read.extend_from_slice(&self.bytes[at..at + first]);
        read.extend_from_slice(&self.bytes[..length - first]);
        read
    }

    /// Where a new client begins: at the oldest byte, or if older ones are gone, after the next end of a line, so that
    /// it does not start in the middle of something.
    pub(super) fn beginning(&self) -> u64 {
        let start = self.start();
        if start == 0 {
            return 0;
        }
        let kept = self.read(start, CAP);
        kept.iter().position(|&byte| byte == b'\n').map_or(start, |line| start + line as u64 + 1)
    }
}

/// Position of an offset in the ring.
fn place(offset: u64) -> usize {
    usize::try_from(offset % CAP as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_last_is_there_at_its_offsets() {
        // Compared with a plain buffer, in pieces of all sizes.
        let mut all = Vec::new();
        let mut replay = ReplayBuffer::default();
        for (turn, size) in
            [1, 7, 4096, 0, 65_536, 300_000, 700_001, 1, CAP - 1, CAP, 3, CAP, 12_345].into_iter().enumerate()
        {
            let piece: Vec<u8> = (0..size).map(|i| u8::try_from((i * 31 + turn) % 251).unwrap()).collect();
            replay.push(&piece);
            all.extend_from_slice(&piece);
            let kept = all.len().min(CAP);
            assert_eq!((replay.end(), replay.start()), (all.len() as u64, (all.len() - kept) as u64));
            assert_eq!(replay.read(replay.start(), CAP), &all[all.len() - kept..], "after {turn} pieces");
            for (from, most) in
                [(replay.start() + (kept / 3) as u64, 1000), (replay.end().saturating_sub(5), 64), (replay.end(), 9)]
            {
                let from = from.max(replay.start());
                let at = usize::try_from(from).unwrap();
                assert_eq!(replay.read(from, most), &all[at..(at + most).min(all.len())]);
            }
        }
    }

    #[test]
    fn an_offset_that_is_not_kept_is_no_way_to_end_the_worker() {
        let mut replay = ReplayBuffer::default();
        replay.push(b"0123456789");
        assert_eq!(replay.read(u64::MAX, 9), b"");
        assert_eq!(replay.read(11, 9), b"");
        replay.push(&vec![b'x'; CAP]);
        assert_eq!(replay.read(0, 2), b"xx");
    }

    #[test]
    fn whoever_comes_late_begins_with_a_whole_line() {
        let mut replay = ReplayBuffer::default();
        replay.push(b"one\ntwo\n");
        assert_eq!(replay.beginning(), 0);
        replay.push(&vec![b'x'; CAP - 5]);
        assert_eq!((replay.start(), replay.beginning()), (3, 4));
    }
}
