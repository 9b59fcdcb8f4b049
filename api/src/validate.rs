//! Checks of what people send: every field is looked at, and all complaints come back together.

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    auth::password::{MAX_BYTES, MIN_CHARS},
    error::{AppError, AppResult, FieldError},
};

/// Complaints so far.
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

    /// A name for people: 1 to 64 characters without control characters, trimmed.
    pub fn name(&mut self, field: &'static str, text: &str) -> String {
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 {
            self.fail(field, "required", "is required");
        } else if length > MAX_NAME_CHARS {
            self.fail(field, "too_long", format!("must be at most {MAX_NAME_CHARS} characters long"));
        } else if text.chars().any(is_invisible) {
            self.fail(field, "invalid", "must not contain control characters");
        }
        text.to_owned()
    }

    /// An e-mail address, trimmed.
    pub fn email(&mut self, field: &'static str, text: &str) -> String {
        let text = text.trim();
        if !is_email(text) {
            self.fail(field, "invalid", "must be an e-mail address");
        }
        text.to_owned()
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

    /// One word of a list, or the default; `None`: it is another word, and what depends on it need not be checked.
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

    /// Ok if nothing was wrong.
    pub fn done(self) -> AppResult<()> {
        if self.0.is_empty() { Ok(()) } else { Err(AppError::validation(self.0)) }
    }
}

const MAX_NAME_CHARS: usize = 64;

/// Enough to catch a slip; whether mail arrives there is another matter.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && !domain.is_empty()
        && text.len() <= 254
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Control characters, and those that change the direction or the lines of the text around them.
fn is_invisible(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        let table: [(&str, &[&str]); 8] = [
            ("first", &[]),
            ("  my gateway  ", &[]),
            (&long[2..], &[]),
            ("", &["name required"]),
            (" \t ", &["name required"]),
            (&long, &["name too_long"]),
            ("a\u{0}b", &["name invalid"]),
            ("a\u{202e}b", &["name invalid"]),
        ];
        for (text, want) in table {
            let mut checks = Checks::default();
            assert_eq!(checks.name("name", text), text.trim());
            assert_eq!(codes(checks), want, "{text:?}");
        }
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
        for good in ["a@b", "ann@example.com", "ann+x@sub.example.com"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "ann", "@b", "a@", "a b@c", "a@b\n"] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }
}
