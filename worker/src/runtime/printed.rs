//! Cleans the output of tenants' programs for display.
//!
//! It limits memory, strips control characters before it masks secrets (an escape sequence inside a secret would hide
//! it), and limits the length.

/// Longest line, in characters.
const LINE_CAP: usize = 2000;
/// Most bytes kept of a line before cleaning, with room for what that removes.
const RAW_LINE_CAP: usize = 16 * 1024;
/// Replacement for a secret.
const MASK: &str = "•••";
/// Shorter strings are not masked, because they occur everywhere.
const SHORTEST_SECRET: usize = 6;

/// Splits a stream of bytes into lines. Of a longer line only the first 16 KiB are kept: split in two, each part could
/// hold half a secret.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes more bytes and calls `line` with each complete line.
    pub(crate) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = RAW_LINE_CAP - self.rest.len();
            self.rest.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                line(self.take());
            }
        }
    }

    /// What follows the last line end.
    pub(crate) fn finish(mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.rest).trim_end_matches(['\r', '\n']).to_owned();
        self.rest.clear();
        line
    }
}

/// A line without escape sequences, control characters and characters that change the text direction.
pub(crate) fn clean(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => out.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Skips what follows an ESC: a control sequence to its final byte, a string to its end, or one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
            chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
        Some(']' | 'P' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some('\u{20}'..='\u{2f}') => {
            chars.next();
            chars.next_if(|c| ('\u{30}'..='\u{7e}').contains(c));
        }
        Some('\u{30}'..='\u{7e}') => {
            chars.next();
        }
        _ => {}
    }
}

/// A line with `secrets` masked.
pub(crate) fn redact(line: &str, secrets: &[&str]) -> String {
    let mut line = line.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
        if line.contains(secret) {
            line = line.replace(secret, MASK);
        }
    }
    line
}

/// A line cut to 2000 characters.
pub(crate) fn shorten(line: &str) -> String {
    match line.char_indices().nth(LINE_CAP) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_taken_out() {
        for (raw, clean_line) in [
            ("\u{1b}[0;31mred\u{1b}[0m", "red"),
            ("a\u{1b}]52;c;ZXZpbA==\u{7}b", "ab"),
            ("a\u{1b}]0;title\u{1b}\\b", "ab"),
            ("a\u{1b}(Bb\u{1b}cc", "abc"),
            ("tick\rtock\u{7}\u{0}\u{9b}31m", "ticktock31m"),
            ("one\ttwo", "one two"),
            ("\u{202e}txt.exe", "txt.exe"),
            ("cut off\u{1b}[3", "cut off"),
            ("ünïcode ✓", "ünïcode ✓"),
        ] {
            assert_eq!(clean(raw), clean_line, "{raw:?}");
        }
    }

    #[test]
    fn secrets_are_masked_even_when_dressed_up() {
        let line = clean("token=abc\u{1b}[0mdef123\u{200b}456 ok");
        assert_eq!(redact(&line, &["abcdef123456", "ok"]), "token=••• ok");
    }

    #[test]
    fn lines_survive_being_cut_into_pieces() {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for piece in ["fi", "rst\r\nsec", "ond\n", "\nlast"] {
            lines.push(piece.as_bytes(), |line| seen.push(line));
        }
        assert_eq!(seen, ["first", "second", ""]);
        assert_eq!(lines.finish().as_deref(), Some("last"));
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.push(&[b'x'; 1000], |line| seen.push(line));
            assert!(lines.rest.len() <= RAW_LINE_CAP);
        }
        lines.push(b"end\nnext\n", |line| seen.push(line));
        assert_eq!(seen.iter().map(String::len).collect::<Vec<_>>(), [RAW_LINE_CAP, 4]);
    }
}
