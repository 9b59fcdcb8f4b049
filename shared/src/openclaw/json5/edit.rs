//! Changes values in a JSON5 text and preserves everything else: comments, order, white space, quotes.

use std::{fmt, ops::Range};

use serde_json::{Map, Value};

use super::{
    syntax::{self, Member, Object, is_line_end, is_space},
    tree::{Tree, Unreadable, parse},
};

/// The wanted content of a text.
#[derive(Clone, Default)]
pub struct Patch {
    /// Objects are merged into existing ones. Anything else replaces the existing value.
    pub values: Map<String, Value>,
    /// Members to remove, each as a path of names.
    pub removed: Vec<Vec<&'static str>>,
}

/// Why a text was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("it holds no object")]
    NoObject,
    /// The result does not hold the expected values: a bug of ours.
    #[error("the result does not hold the expected values")]
    Wrong,
}

impl fmt::Debug for Patch {
    /// Without the values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patch").field("removed", &self.removed).finish_non_exhaustive()
    }
}

impl Patch {
    /// The changed text, or `None` if nothing changes.
    pub fn apply(&self, text: &str) -> Result<Option<String>, EditError> {
        let mut wanted = parse_object(text)?;
        for path in &self.removed {
            wanted.remove(path);
        }
        wanted.merge(&Value::Object(self.values.clone()));

        let mut changed = text.to_owned();
        for path in &self.removed {
            let mut edit = Edit::new(&changed);
            edit.remove(root(&changed)?, path)?;
            changed = edit.finish();
        }
        let mut edit = Edit::new(&changed);
        edit.merge(root(&changed)?, &self.values)?;
        let changed = edit.finish();
        if parse(&changed) == Ok(wanted) { Ok((changed != text).then_some(changed)) } else { Err(EditError::Wrong) }
    }
}

/// The content of a text, if that is an object.
pub fn parse_object(text: &str) -> Result<Tree, EditError> {
    Some(parse(text)?).filter(Tree::is_object).ok_or(EditError::NoObject)
}

fn root(text: &str) -> Result<Range<usize>, EditError> {
    syntax::root(text).ok_or(EditError::Wrong)
}

/// Edits collected on one text.
struct Edit<'a> {
    text: &'a str,
    /// One step of the indentation.
    unit: &'a str,
    line_end: &'static str,
    splices: Vec<(Range<usize>, String)>,
}

impl<'a> Edit<'a> {
    fn new(text: &'a str) -> Self {
        let first = syntax::root(text)
            .and_then(|root| Object::read(text, root.start))
            .and_then(|root| Some(root.members.first()?.key.start));
        let unit = first.and_then(|first| lone_indent(text, first)).filter(|indent| !indent.is_empty()).unwrap_or("  ");
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { text, unit, line_end, splices: Vec::new() }
    }

    fn finish(mut self) -> String {
        self.splices.sort_by_key(|(range, _)| (range.start, range.end));
        let (mut text, mut at) = (String::with_capacity(self.text.len() + 1024), 0);
        for (range, new) in self.splices {
            text.push_str(&self.text[at..range.start]);
            text.push_str(&new);
            at = range.end;
        }
        text.push_str(&self.text[at..]);
        text
    }

    fn object(&self, at: &Range<usize>) -> Result<Object, EditError> {
        Object::read(self.text, at.start).ok_or(EditError::Wrong)
    }

    fn is_object(&self, at: &Range<usize>) -> bool {
        self.text.as_bytes()[at.start] == b'{'
    }

    /// Merges `wanted` into the object at a position: replaces what differs and adds what is missing.
    fn merge(&mut self, at: Range<usize>, wanted: &Map<String, Value>) -> Result<(), EditError> {
        let object = self.object(&at)?;
        let mut missing = Vec::new();
        for (key, value) in wanted {
            let Some(found) = object.named(self.text, key).next_back().map(|member| member.value.clone()) else {
                missing.push((key.as_str(), value));
                continue;
            };
            match value {
                Value::Object(value) if self.is_object(&found) => self.merge(found, value)?,
                value if parse(&self.text[found.clone()])? == Tree::from(value) => {}
                value => {
                    let several_lines = value.is_object() || self.text[found.clone()].contains(is_line_end);
                    let indent = several_lines.then(|| indent_of(self.text, found.start));
                    let new = self.value(value, indent);
                    self.splices.push((found, new));
                }
            }
        }
        if !missing.is_empty() {
            self.add(&object, &missing);
        }
        Ok(())
    }

    /// Adds members after the existing ones, in their style.
    fn add(&mut self, object: &Object, members: &[(&str, &Value)]) {
        let text = self.text;
        let (first, last) = (object.members.first(), object.members.last());
        let from = last.map_or(object.open + 1, Member::end);
        let gap = &text[from..object.close];
        let head = first.map_or("", |first| &text[object.open..first.key.start]);
        // Only blanks of one line around the members: no comment can run to the end of the line.
        let own_lines = gap.contains(is_line_end) || head.contains(is_line_end);
        let opens = first.is_none() && !own_lines && text.contains(is_line_end);
        let indent = (own_lines || opens).then(|| match first.and_then(|first| lone_indent(text, first.key.start)) {
            Some(indent) => indent.to_owned(),
            None => format!("{}{}", indent_of(text, object.open), self.unit),
        });
        let bare = first.is_some_and(|first| !text[first.key.start..].starts_with(['"', '\'']));

        let mut new = String::new();
        for (n, (key, value)) in members.iter().enumerate() {
            if n > 0 {
                new.push(',');
            }
            match &indent {
                Some(indent) => new.extend([self.line_end, indent]),
                None if n > 0 || last.is_some() => new.push(' '),
                None => {}
            }
            if bare && is_name(key) {
                new.push_str(key);
            } else {
                new.push_str(&Value::from(*key).to_string());
            }
            new.push_str(": ");
            new.push_str(&self.value(value, indent.as_deref()));
        }
        if last.is_some_and(|last| last.comma.is_some()) {
            new.push(',');
        }
        if opens {
            new.extend([self.line_end, indent_of(text, object.open)]);
        }
        if let Some(last) = last.filter(|last| last.comma.is_none()) {
            self.splices.push((last.value.end..last.value.end, ",".to_owned()));
        }
        let at = from + gap.trim_end_matches(is_space).len();
        self.splices.push((at..at, new));
    }

    /// Removes all members that a path leads to, including overridden duplicates.
    fn remove(&mut self, at: Range<usize>, path: &[&str]) -> Result<(), EditError> {
        let [key, rest @ ..] = path else { return Ok(()) };
        if !self.is_object(&at) {
            return Ok(());
        }
        let object = self.object(&at)?;
        if !rest.is_empty() {
            let found: Vec<_> = object.named(self.text, key).map(|member| member.value.clone()).collect();
            return found.into_iter().try_for_each(|found| self.remove(found, rest));
        }
        let gone: Vec<_> = object.named(self.text, key).map(|member| member.key.start).collect();
        let is_gone = |member: &&Member| gone.binary_search(&member.key.start).is_ok();
        for member in object.members.iter().filter(is_gone) {
            self.splices.push((self.with_its_line(member.key.start..member.end()), String::new()));
        }
        // The comma before the last member is no longer needed, and not legal in plain JSON.
        let ends_plain = object.members.last().is_some_and(|last| last.comma.is_none() && is_gone(&last));
        if let Some(comma) = object.members.iter().rfind(|member| !is_gone(member)).and_then(|kept| kept.comma)
            && ends_plain
        {
            self.splices.push((comma..comma + 1, String::new()));
        }
        Ok(())
    }

    /// A range, extended to whole lines if nothing else is on them.
    fn with_its_line(&self, range: Range<usize>) -> Range<usize> {
        let Some(indent) = lone_indent(self.text, range.start) else { return range };
        let after = &self.text[range.end..];
        let blank = after.len() - after.trim_start_matches(|c| is_space(c) && !is_line_end(c)).len();
        let line_end = match &after[blank..] {
            rest if rest.starts_with("\r\n") => 2,
            rest => rest.chars().next().filter(|c| is_line_end(*c)).map_or(0, char::len_utf8),
        };
        if line_end == 0 { range } else { range.start - indent.len()..range.end + blank + line_end }
    }

    /// Writes a value on one line, or on several with this indentation.
    fn value(&self, value: &Value, indent: Option<&str>) -> String {
        let Some(indent) = indent else { return value.to_string() };
        let inner = format!("{indent}{}", self.unit);
        let mut text = String::new();
        let (open, close) = match value {
            Value::Object(members) if !members.is_empty() => {
                for (key, value) in members {
                    let comma = if text.is_empty() { "" } else { "," };
                    let key = Value::from(key.as_str()).to_string();
                    text.extend([comma, self.line_end, &inner, &key, ": ", &self.value(value, Some(&inner))]);
                }
                ('{', '}')
            }
            Value::Array(items) if !items.is_empty() => {
                for value in items {
                    let comma = if text.is_empty() { "" } else { "," };
                    text.extend([comma, self.line_end, &inner, &self.value(value, Some(&inner))]);
                }
                ('[', ']')
            }
            value => return value.to_string(),
        };
        format!("{open}{text}{}{indent}{close}", self.line_end)
    }
}

/// The line up to a position.
fn line_before(text: &str, at: usize) -> &str {
    let before = &text[..at];
    before.rfind(is_line_end).map_or(before, |end| {
        let rest = &before[end..];
        &rest[rest.chars().next().map_or(0, char::len_utf8)..]
    })
}

/// The indentation of a position's line.
fn indent_of(text: &str, at: usize) -> &str {
    let line = line_before(text, at).trim_start_matches('\u{feff}');
    &line[..line.len() - line.trim_start_matches(is_space).len()]
}

/// The same if only blanks precede the position on its line and the line is not the first.
fn lone_indent(text: &str, at: usize) -> Option<&str> {
    let line = line_before(text, at);
    (line.len() < at && line.chars().all(is_space)).then_some(line)
}

/// Whether a key can be written without quotes. Ours are plain.
fn is_name(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.bytes().all(|b| b.is_ascii_alphanumeric())
}
