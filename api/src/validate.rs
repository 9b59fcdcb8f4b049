//! Validation of request fields. All fields are checked, and all errors are returned together.

use clawdeploy_shared::text::{self, BadCharacter, EmailError, NameError};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    auth::password::{MAX_BYTES, MIN_CHARS},
    error::{AppError, AppResult, FieldError},
};

/// The errors so far.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    pub fn fail(
        &mut self,
        field: &'static str,
        code: &'static str,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) {
        self.0.push(FieldError::new(field, code, message));
    }

    /// A name in its stored form: 1 to 64 characters, none of them invisible.
    pub fn name(&mut self, field: &'static str, text: &str) -> String {
        match text::name(text) {
            Ok(name) => {
                if name.chars().count() > MAX_NAME_CHARS {
                    self.fail(field, "too_long", format!("must be at most {MAX_NAME_CHARS} characters long"));
                }
                return name;
            }
            Err(NameError::Empty) => self.fail(field, "required", "is required"),
            Err(NameError::Character(bad)) => self.bad_character(field, bad),
        }
        String::new()
    }

    /// An e-mail address in its normal form.
    pub fn email(&mut self, field: &'static str, text: &str) -> String {
        match text::email(text) {
            Ok(email) => return email,
            Err(EmailError::Form) => self.fail(field, "invalid", "must be an e-mail address"),
            Err(EmailError::Character(bad)) => self.bad_character(field, bad),
        }
        String::new()
    }

    /// A disallowed character. The message names it but does not show the text.
    pub fn bad_character(&mut self, field: &'static str, bad: BadCharacter) {
        self.fail(field, INVALID_CHARACTER, format!("must not contain {bad}"));
    }

    /// A new password.
    pub fn password(&mut self, field: &'static str, password: &SecretString) {
        let password = password.expose_secret();
        if password.chars().count() < MIN_CHARS {
            self.fail(field, "too_short", format!("must be at least {MIN_CHARS} characters long"));
        } else if password.len() > MAX_BYTES {
            self.fail(field, "too_long", format!("must be at most {MAX_BYTES} bytes long"));
        }
    }

    /// A whole number within bounds, or the default.
    pub fn number(&mut self, field: &'static str, value: Option<i64>, bounds: (i32, i32), default: i32) -> i32 {
        let (least, most) = bounds;
        match value.map(i32::try_from) {
            None => default,
            Some(Ok(value)) if (least..=most).contains(&value) => value,
            Some(_) => {
                self.fail(field, "out_of_range", format!("must be from {least} to {most}"));
                default
            }
        }
    }

    /// One of the words in `all`, or the default. `None`: the word is unknown, and fields that depend on it need not be
    /// checked.
    pub fn word<T: Copy + ToString>(
        &mut self,
        field: &'static str,
        value: Option<&str>,
        all: &[T],
        default: T,
    ) -> Option<T> {
        let Some(value) = value else { return Some(default) };
        let known = all.iter().copied().find(|known| known.to_string() == value);
        if known.is_none() {
            let words: Vec<_> = all.iter().map(ToString::to_string).collect();
            self.fail(field, "unknown_value", format!("must be one of {}", words.join(", ")));
        }
        known
    }

    /// Returns an error if any check failed.
    pub fn done(self) -> AppResult<()> {
        if self.0.is_empty() { Ok(()) } else { Err(AppError::validation(self.0)) }
    }
}

pub const MAX_NAME_CHARS: usize = 64;

/// Code for a disallowed character.
pub const INVALID_CHARACTER: &str = "invalid_character";

/// A pasted secret without surrounding blanks. `None`: nothing is left, for example because a form sent an empty field.
/// Not for passwords, which may begin or end with a blank.
pub fn pasted(secret: Option<SecretString>) -> Option<SecretString> {
    let secret = secret?;
    let text = text::trim(secret.expose_secret());
    (!text.is_empty()).then(|| SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(checks: Checks) -> Vec<String> {
        checks.0.into_iter().map(|f| format!("{} {}", f.field, f.code)).collect()
    }

    #[test]
    fn names() {
        let long = "ä".repeat(65);
        let decomposed = "a\u{308}".repeat(64);
        let table: [(&str, &str, &[&str]); 10] = [
            ("first", "first", &[]),
            ("  my  gateway  ", "my gateway", &[]),
            (&long[2..], &long[2..], &[]),
            (&decomposed, &long[2..], &[]),
            ("", "", &["name required"]),
            (" \t ", "", &["name required"]),
            (&long, &long, &["name too_long"]),
            ("a\u{0}b", "", &["name invalid_character"]),
            ("a\u{202e}b", "", &["name invalid_character"]),
            ("\u{200b}", "", &["name invalid_character"]),
        ];
        for (text, stored, want) in table {
            let mut checks = Checks::default();
            assert_eq!(checks.name("name", text), stored);
            assert_eq!(codes(checks), want, "{text:?}");
        }
    }

    #[test]
    fn a_character_that_is_refused_is_named() {
        let mut checks = Checks::default();
        checks.name("name", "ab\u{200b}");
        checks.email("email", "a b@c");
        let said: Vec<_> = checks.0.into_iter().map(|field| field.message).collect();
        let want = [
            "must not contain U+200B (zero width space) at position 3",
            "must not contain U+0020 (space) at position 2",
        ];
        assert_eq!(said, want);
    }

    #[test]
    fn numbers_and_words() {
        let mut checks = Checks::default();
        assert_eq!(checks.number("n", None, (1, 3), 2), 2);
        assert_eq!(checks.number("n", Some(3), (1, 3), 2), 3);
        assert_eq!(checks.word("w", Some("b"), &["a", "b"], "a"), Some("b"));
        assert_eq!(checks.word("w", None, &["a", "b"], "a"), Some("a"));
        for bad in [0, 4, i64::MAX] {
            checks.number("n", Some(bad), (1, 3), 2);
        }
        assert_eq!(checks.word("w", Some("B"), &["a", "b"], "a"), None);
        assert_eq!(codes(checks), ["n out_of_range", "n out_of_range", "n out_of_range", "w unknown_value"]);
    }

    #[test]
    fn addresses() {
        for (text, want) in
            [("Ann@Example.com\n", None), ("ann", Some("email invalid")), ("a\0@b", Some("email invalid_character"))]
        {
            let mut checks = Checks::default();
            checks.email("email", text);
            assert_eq!(codes(checks), Vec::from_iter(want), "{text:?}");
        }
    }
}
