//! The replay buffer of a terminal, compared with the complete output: a client that attaches with any offset gets each
//! byte once.
#![no_main]

use clawdeploy_worker::terminal::fuzzing::{CAP, ReplayBuffer};
use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

#[derive(Debug, Arbitrary)]
enum Act {
    Print(Vec<u8>),
    /// This many copies of one byte, up to twice the capacity.
    Flood(u32, u8),
    Read {
        from: u64,
        most: u32,
    },
    /// Begins this many bytes before the end.
    ReadBack {
        back: u32,
        most: u32,
    },
}

fuzz_target!(|acts: Vec<Act>| {
    let (mut replay, mut kept, mut end) = (ReplayBuffer::default(), Vec::<u8>::new(), 0_u64);
    for act in acts.into_iter().take(24) {
        let (from, most) = match act {
            Act::Print(bytes) => {
                print(&mut replay, &mut kept, &mut end, &bytes);
                continue;
            }
            Act::Flood(count, letter) => {
                print(&mut replay, &mut kept, &mut end, &vec![letter; count as usize % (2 * CAP + 3)]);
                continue;
            }
            Act::Read { from, most } => (from, most),
            Act::ReadBack { back, most } => (end.saturating_sub(back.into()), most),
        };
        let start = end - kept.len() as u64;
        let wanted = from.clamp(start, end);
        let at = usize::try_from(wanted - start).expect("a place");
        let length = (most as usize).min(kept.len() - at);
        assert!(replay.read(from, most as usize) == kept[at..at + length], "{most} bytes from {from}");
    }
    let beginning = replay.beginning();
    assert!((replay.start()..=replay.end()).contains(&beginning));
    if beginning > replay.start() {
        assert_eq!(replay.read(beginning - 1, 1), b"\n", "it begins in the middle of a line");
    }
});

fn print(replay: &mut ReplayBuffer, kept: &mut Vec<u8>, end: &mut u64, bytes: &[u8]) {
    replay.push(bytes);
    kept.extend_from_slice(bytes);
    kept.drain(..kept.len().saturating_sub(CAP));
    *end += bytes.len() as u64;
    assert_eq!((replay.end(), replay.start()), (*end, *end - kept.len() as u64));
}
