//! Turns a container's output into what is shown, for the fuzz target `docker_streams`.

use crate::runtime::printed::{Lines, clean, redact, shorten};

/// The shown lines of an output in these pieces, with `secrets` masked.
pub fn shown<'a>(pieces: impl Iterator<Item = &'a [u8]>, secrets: &[&str]) -> Vec<String> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.push(piece, |line| found.push(line));
    }
    found.extend(lines.finish());
    found.iter().map(|line| shorten(&redact(&clean(line), secrets))).collect()
}
