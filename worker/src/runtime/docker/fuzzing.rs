//! How a container's output becomes what is shown, for the fuzz target `docker_streams`.

use crate::runtime::printed::{Lines, clean, redact, shorten};

/// The lines of an output that comes in these pieces, as they are shown to whoever may not see `secrets`.
pub fn shown<'a>(pieces: impl Iterator<Item = &'a [u8]>, secrets: &[&str]) -> Vec<String> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.push(piece, |line| found.push(line));
    }
    found.extend(lines.finish());
    found.iter().map(|line| shorten(&redact(&clean(line), secrets))).collect()
}
