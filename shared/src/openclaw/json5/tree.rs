//! The values of a JSON5 text, or the position of its first error.

use std::{collections::BTreeMap, fmt};

use json5::Position;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Deepest nesting that is parsed. Parsing recurses once per level, and a tenant chooses how many there are.
const DEEPEST: usize = 128;

/// The position of a syntax error. Both numbers count from one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct Unreadable {
    pub line: usize,
    pub column: usize,
    pub what: String,
}

/// The content of a text, for comparison: objects with their keys, and a digest of everything else, which is small and
/// shows no secret. Of duplicate keys the last one counts, as in OpenClaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    Object(BTreeMap<String, Tree>),
    Other([u8; 32]),
}

/// Parses a text.
pub fn parse(text: &str) -> Result<Tree, Unreadable> {
    json5::from_str(text).map_err(|error| {
        // The error of a truncated text has no position.
        let place = error.position().unwrap_or_else(|| Position::from_offset(text.len(), text));
        let said = error.to_string();
        let what = said.strip_suffix(&format!(" at {place}")).unwrap_or(&said).to_owned();
        Unreadable { line: place.line + 1, column: place.column + 1, what }
    })
}

impl Tree {
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Merges objects. Anything else in `over` replaces the existing value.
    pub(super) fn merge(&mut self, over: &Value) {
        match (self, over) {
            (Self::Object(members), Value::Object(over)) => {
                for (key, value) in over {
                    members.entry(key.clone()).or_insert_with(Self::empty).merge(value);
                }
            }
            (tree, over) => *tree = over.into(),
        }
    }

    pub(super) fn remove(&mut self, path: &[&str]) {
        let (Self::Object(members), [key, rest @ ..]) = (self, path) else { return };
        if rest.is_empty() {
            members.remove(*key);
        } else if let Some(member) = members.get_mut(*key) {
            member.remove(rest);
        }
    }

    fn empty() -> Self {
        Self::Object(BTreeMap::new())
    }

    fn of(kind: u8, parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new_with_prefix([kind]);
        for part in parts {
            digest.update(part);
        }
        Self::Other(digest.finalize().into())
    }

    fn bool(value: bool) -> Self {
        Self::of(b'b', &[&[u8::from(value)]])
    }

    /// As in JavaScript: all numbers are doubles, there is one `NaN`, and `-0` equals `0`.
    fn number(value: f64) -> Self {
        let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
        Self::of(b'n', &[&value.to_bits().to_be_bytes()])
    }

    fn string(value: &str) -> Self {
        Self::of(b's', &[value.as_bytes()])
    }

    fn absorb(&self, digest: &mut Sha256) {
        match self {
            Self::Other(value) => {
                digest.update(b"v");
                digest.update(value);
            }
            Self::Object(members) => {
                digest.update(b"{");
                for (key, value) in members {
                    digest.update((key.len() as u64).to_be_bytes());
                    digest.update(key);
                    value.absorb(digest);
                }
                digest.update(b"}");
            }
        }
    }
}

impl From<&Value> for Tree {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::of(b'0', &[]),
            Value::Bool(value) => Self::bool(*value),
            Value::Number(value) => Self::number(value.as_f64().unwrap_or(f64::NAN)),
            Value::String(value) => Self::string(value),
            Value::Array(items) => {
                let mut digest = Sha256::new_with_prefix(b"a");
                for item in items {
                    Self::from(item).absorb(&mut digest);
                }
                Self::Other(digest.finalize().into())
            }
            Value::Object(members) => {
                Self::Object(members.iter().map(|(key, value)| (key.clone(), value.into())).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level(DEEPEST).deserialize(deserializer)
    }
}

/// Parses a value with this many more levels allowed below it.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(format!("nested deeper than {DEEPEST} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok((&Value::Null).into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers are what they are to JavaScript")]
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers are what they are to JavaScript")]
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::string(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let below = self.below()?;
        let mut digest = Sha256::new_with_prefix(b"a");
        while let Some(item) = items.next_element_seed(below)? {
            item.absorb(&mut digest);
        }
        Ok(Tree::Other(digest.finalize().into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let below = self.below()?;
        let mut found = BTreeMap::new();
        while let Some(key) = members.next_key::<String>()? {
            found.insert(key, members.next_value_seed(below)?);
        }
        Ok(Tree::Object(found))
    }
}
