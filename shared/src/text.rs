//! Text that people type or paste: names, e-mail addresses, secrets.
//!
//! - A name is stored in one form (NFC, single spaces, trimmed), so that names that look the same are equal. Case
//!   counts: names are labels, and an owner may have `Test` and `test`.
//! - A name has no invisible characters. The exceptions are those needed for writing: the joiners inside an emoji and
//!   between letters of Arabic and Indic scripts (as in IDNA), and the variation selector of an emoji.
//! - Blanks and invisible characters around a pasted secret are removed. Inside it they are an error that names them.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        BinaryProperty, CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic,
        GeneralCategory, GeneralCategoryGroup, JoiningType,
    },
};

mod email;
#[cfg(test)]
mod tests;

pub use self::email::{EmailError, email, email_key, lower};

/// A disallowed character and its position. The text itself is not shown, because it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCharacter {
    pub character: char,
    /// Counted from one, in characters.
    pub position: usize,
}

impl BadCharacter {
    /// The first disallowed character of a text.
    pub fn find(text: &str, allowed: impl Fn(char) -> bool) -> Option<Self> {
        let found = text.chars().zip(1..).find(|(character, _)| !allowed(*character));
        found.map(|(character, position)| Self { character, position })
    }
}

/// `U+200B (zero width space) at position 3`
impl fmt::Display for BadCharacter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U+{:04X}", u32::from(self.character))?;
        if let Some(name) = known_as(self.character) {
            write!(f, " ({name})")?;
        }
        write!(f, " at position {}", self.position)
    }
}

/// Why a text cannot be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// It has no visible character.
    Empty,
    Character(BadCharacter),
}

/// The form in which a name is stored and compared.
pub fn name(text: &str) -> Result<String, NameError> {
    let text = nfc(text.trim());
    let mut chars = Vec::with_capacity(text.len());
    for c in text.chars() {
        let blank = c == '\t' || category(c) == GeneralCategory::SpaceSeparator;
        match chars.last() {
            Some(' ') if blank => {}
            _ => chars.push(if blank { ' ' } else { c }),
        }
    }
    let bad = (0..chars.len()).find(|at| is_invisible(chars[*at]) && !is_needed(&chars, *at));
    if let Some(at) = bad {
        return Err(NameError::Character(BadCharacter { character: chars[at], position: at + 1 }));
    }
    let stands_alone =
        |c: &char| !GeneralCategoryGroup::Mark.contains(category(*c)) && !is_invisible(*c) && !c.is_whitespace();
    if chars.iter().any(stands_alone) { Ok(chars.into_iter().collect()) } else { Err(NameError::Empty) }
}

/// Removes surrounding blanks and the invisible characters that copying may add.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| {
        c.is_whitespace()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
    })
}

/// A search text, in the form in which names are stored.
pub fn search(text: &str) -> String {
    nfc(trim(text))
}

fn nfc(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// Whether a character is invisible or changes how the text around it is shown.
fn is_invisible(c: char) -> bool {
    matches!(
        category(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || has::<DefaultIgnorableCodePoint>(c)
        // A braille cell without dots is a symbol by category.
        || c == '\u{2800}'
}

/// Whether an invisible character is needed by the characters around it.
fn is_needed(chars: &[char], at: usize) -> bool {
    const ZWNJ: char = '\u{200c}';
    const ZWJ: char = '\u{200d}';
    const TEXT: char = '\u{fe0e}';
    const EMOJI: char = '\u{fe0f}';
    const KEYCAP: char = '\u{20e3}';
    let before = at.checked_sub(1).map(|before| chars[before]);
    let after = chars.get(at + 1).copied();
    let (Some(before), joiner) = (before, matches!(chars[at], ZWNJ | ZWJ)) else { return false };
    if joiner && CodePointMapData::<CanonicalCombiningClass>::new().get(before) == CanonicalCombiningClass::Virama {
        return true;
    }
    match chars[at] {
        TEXT | EMOJI if before.is_ascii() => after == Some(KEYCAP),
        TEXT | EMOJI => has::<Emoji>(before),
        ZWJ => {
            let base = chars[..at].iter().rev().find(|c| **c != EMOJI && !has::<EmojiModifier>(**c));
            base.is_some_and(|c| has::<ExtendedPictographic>(*c)) && after.is_some_and(has::<ExtendedPictographic>)
        }
        ZWNJ => {
            let joining = |c: &char| CodePointMapData::<JoiningType>::new().get(*c);
            let left = chars[..at].iter().rev().map(joining).find(|kind| *kind != JoiningType::Transparent);
            let right = chars[at + 1..].iter().map(joining).find(|kind| *kind != JoiningType::Transparent);
            matches!(left, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
                && matches!(right, Some(JoiningType::RightJoining | JoiningType::DualJoining))
        }
        // Regional flags: a black flag, the region's letters, an end mark.
        '\u{e0020}'..='\u{e007f}' => {
            let tag = |c: &&char| matches!(**c, '\u{e0020}'..='\u{e007e}');
            let flag = chars[..at].iter().rev().find(|c| !tag(c)) == Some(&'\u{1f3f4}');
            flag && chars[at..].iter().find(|c| !tag(c)) == Some(&'\u{e007f}')
        }
        _ => false,
    }
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn has<P: BinaryProperty>(c: char) -> bool {
    CodePointSetData::new::<P>().contains(c)
}

/// The common name of a character that cannot be shown.
fn known_as(c: char) -> Option<&'static str> {
    Some(match c {
        '\0' => "NUL",
        '\t' => "tab",
        '\n' => "line break",
        '\r' => "carriage return",
        ' ' => "space",
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => "Hangul filler",
        '\u{200b}' => "zero width space",
        '\u{200c}' => "zero width non-joiner",
        '\u{200d}' => "zero width joiner",
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "text direction",
        '\u{2028}' => "line separator",
        '\u{2029}' => "paragraph separator",
        '\u{2060}' => "word joiner",
        '\u{2800}' => "blank braille cell",
        '\u{3000}' => "ideographic space",
        '\u{feff}' => "byte order mark",
        '\u{fe00}'..='\u{fe0f}' => "variation selector",
        c if c.is_control() => "control character",
        c if c.is_whitespace() => "blank",
        c if is_invisible(c) => "invisible",
        _ => return None,
    })
}
