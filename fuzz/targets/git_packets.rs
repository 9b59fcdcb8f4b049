//! The lines of git's protocol do not depend on how a response is split.
#![no_main]

use clawdeploy_fuzz::pieces;
use clawdeploy_worker::image::fuzzing::packets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (whole, pieces) = pieces(data);
    let at_once = packets(std::iter::once(whole));
    assert_eq!(packets(pieces.into_iter()), at_once);
    if let Some((lines, rest)) = at_once {
        let content: usize = lines.iter().map(Vec::len).sum();
        assert!(content + rest.len() <= whole.len(), "more than was sent");
    }
});
