//! Finds the positions of an object's members in a valid JSON5 text.
//!
//! Nothing here validates or recurses: a value is skipped by counting brackets. An invalid text yields `None`.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

/// An object and its members, in order.
pub(super) struct Object {
    /// Position of `{`.
    pub(super) open: usize,
    /// Position of `}`.
    pub(super) close: usize,
    pub(super) members: Vec<Member>,
}

pub(super) struct Member {
    /// The key as written, with its quotes.
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
    /// The comma that follows, if any.
    pub(super) comma: Option<usize>,
}

impl Member {
    /// Its end, including the comma.
    pub(super) fn end(&self) -> usize {
        self.comma.map_or(self.value.end, |comma| comma + 1)
    }
}

impl Object {
    /// The object that opens at `open`.
    pub(super) fn read(text: &str, open: usize) -> Option<Self> {
        let mut scan = Scan { text, at: open };
        scan.byte(b'{')?;
        let mut members = Vec::new();
        loop {
            scan.trivia()?;
            let close = scan.at;
            if scan.byte(b'}').is_some() {
                return Some(Self { open, close, members });
            }
            let key = scan.key()?;
            scan.trivia()?;
            scan.byte(b':')?;
            scan.trivia()?;
            let value = scan.value()?;
            scan.trivia()?;
            let comma = scan.at;
            let comma = scan.byte(b',').map(|()| comma);
            members.push(Member { key, value, comma });
        }
    }

    /// Members of this name. The last one counts.
    pub(super) fn named<'a>(&'a self, text: &'a str, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Member> {
        self.members.iter().filter(move |member| name_of(&text[member.key.clone()]).is_some_and(|found| found == name))
    }
}

/// The root value without what surrounds it.
pub(super) fn root(text: &str) -> Option<Range<usize>> {
    let mut scan = Scan { text, at: 0 };
    scan.trivia()?;
    scan.value()
}

/// The decoded name of a key.
fn name_of(written: &str) -> Option<Cow<'_, str>> {
    let quoted = written.starts_with(['"', '\'']);
    if !written.contains('\\') {
        let inner = if quoted { written.get(1..written.len() - 1)? } else { written };
        return Some(Cow::Borrowed(inner));
    }
    if quoted {
        return json5::from_str(written).ok().map(Cow::Owned);
    }
    let alone: BTreeMap<String, u8> = json5::from_str(&format!("{{{written}:0}}")).ok()?;
    alone.into_keys().next().map(Cow::Owned)
}

/// JSON5 white space: Unicode white space except the next-line character, and the byte order mark.
pub(super) fn is_space(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Skips white space and comments.
    fn trivia(&mut self) -> Option<()> {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(is_space).len();
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find(is_line_end).unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += 2 + rest.get(2..)?.find("*/")? + 2;
            } else {
                return Some(());
            }
        }
    }

    /// Skips a string. Quote and backslash bytes are never part of a multi-byte character.
    fn string(&mut self) -> Option<()> {
        let quote = self.peek()?;
        self.at += 1;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                byte => {
                    self.at += 1;
                    if byte == quote {
                        return Some(());
                    }
                }
            }
        }
    }

    /// Skips up to white space, a comment or one of `ends`.
    fn word(&mut self, ends: &[char]) {
        let rest = self.rest();
        let end = rest.find(|c| is_space(c) || c == '/' || ends.contains(&c));
        self.at += end.unwrap_or(rest.len());
    }

    fn key(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        match self.peek()? {
            b'"' | b'\'' => self.string()?,
            _ => self.word(&[':']),
        }
        (self.at > start).then_some(start..self.at)
    }

    fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        match self.peek()? {
            b'"' | b'\'' => self.string()?,
            b'{' | b'[' => self.brackets()?,
            _ => self.word(&[',', ']', '}']),
        }
        (self.at > start).then_some(start..self.at)
    }

    fn brackets(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' | b'\'' => self.string()?,
                b'/' => {
                    let before = self.at;
                    self.trivia()?;
                    (self.at > before).then_some(())?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        return Some(());
                    }
                }
                // Possibly part of a multi-byte character, but none of those above.
                _ => self.at += 1,
            }
        }
    }
}
