//! Masks what looks like a secret in log lines: a safety net for the rule that no secret is logged.
//!
//! It recognizes secrets by their form only: our own tokens, keys of the usual providers, tokens of Telegram bots,
//! passwords in URLs, bearer tokens, sign-in links, sealed values. Anything it catches is a bug elsewhere.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Replacement for a secret.
const MASK: &str = "•••";

/// Prefixes of known kinds of secrets, and the least number of characters after them.
const PREFIXES: [(&str, usize); 11] = [
    ("claw_", 16),
    ("sk-", 8),
    ("AIza", 20),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("ghp_", 16),
    ("github_pat_", 16),
    ("bootstrapToken=", 8),
    ("Bearer ", 8),
    ("bearer ", 8),
    ("v1.", 60),
];

/// Makes writers that mask one event each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masked<M>(pub(super) M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Masked<M> {
    type Writer = MaskedWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        MaskedWriter(self.0.make_writer())
    }
}

/// Masks everything written. Each write is masked by itself; the subscriber writes each event in one go.
#[derive(Debug)]
pub(super) struct MaskedWriter<W>(W);

impl<W: Write> Write for MaskedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(masked(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The text with its secrets masked.
pub(super) fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let (kept, hidden) = match secret_at(rest, before) {
            Some((kept, end)) => (kept, end),
            None => (c.len_utf8(), c.len_utf8()),
        };
        out.push_str(&rest[..kept]);
        if hidden > kept {
            out.push_str(MASK);
        }
        before = rest[..hidden].chars().next_back();
        rest = &rest[hidden..];
    }
    out
}

/// How much of a secret that begins here is kept, and where it ends. `None`: none begins here.
fn secret_at(rest: &str, before: Option<char>) -> Option<(usize, usize)> {
    // No secret begins inside a word, except the password of a URL.
    if let Some(after) = rest.strip_prefix("://") {
        let authority = after.split(['/', '?', '#', ' ', '"', '\'']).next().unwrap_or_default();
        let user = &authority[..authority.rfind('@')?];
        let colon = user.find(':')?;
        return (colon + 1 < user.len()).then_some((3 + colon + 1, 3 + user.len()));
    }
    if before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
        return None;
    }
    for (prefix, least) in PREFIXES {
        if let Some(after) = rest.strip_prefix(prefix) {
            let length = word(after);
            if length >= least {
                return Some((prefix.len(), prefix.len() + length));
            }
        }
    }
    // A Telegram bot: 123456789:AAE…
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = rest[digits..].strip_prefix(':')?;
    let length = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
    ((6..=12).contains(&digits) && length >= 30).then_some((digits + 1, digits + 1 + length))
}

fn word(text: &str) -> usize {
    text.chars().take_while(|c| is_of_token(*c)).map(char::len_utf8).sum()
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked() {
        let sealed = format!("v1.a1b2c3d4.{}", "Qk0=".repeat(20));
        for (text, want) in [
            ("token=claw_0123456789abcdef0123 ok", "token=claw_••• ok"),
            ("key \"sk-ant-api03-abcdef\"", "key \"sk-•••\""),
            ("123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc!", "123456789:•••!"),
            ("postgres://claw:pass@word@127.0.0.1:5432/db", "postgres://claw:•••@127.0.0.1:5432/db"),
            ("redis://:secret@localhost/0", "redis://:•••@localhost/0"),
            ("authorization: Bearer abcdefghijkl", "authorization: Bearer •••"),
            ("http://127.0.0.1:1/#bootstrapToken=abcdefgh&x=1", "http://127.0.0.1:1/#bootstrapToken=•••&x=1"),
            (sealed.as_str(), "v1.•••"),
        ] {
            assert_eq!(masked(text), want, "{text}");
        }
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "risk-based decisions at 10:45:01, task-force",
            "id 01a213df-4b51-7313-8b8f-41b9537656b6 took 123456:12 and 2026-11-25T18:02:10.217308Z",
            "https://user@host/path and http://127.0.0.1:19000/api/docs/ v1.2.3",
            "sha256:0123456789012345678901234567890123456789 ünïcode ✓",
            "claw_short Bearer of news sk-1",
            "",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn an_event_is_masked_on_its_way_out() {
        let mut writer = MaskedWriter(Vec::new());
        writer.write_all(b"key sk-0123456789\n\xff\n").unwrap();
        writer.write_all(b"key sk-0123456789\n").unwrap();
        writer.flush().unwrap();
        assert!(writer.0.ends_with("key sk-•••\n".as_bytes()));
    }
}
