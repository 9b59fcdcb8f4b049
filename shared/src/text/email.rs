//! E-mail addresses: one function decides which are equal.
//!
//! The normal form is stored and compared byte for byte: composed (NFC), each letter in lower case whatever the
//! language or the database's locale, the domain in its DNS form (`münchen.example` is `xn--mnchen-3ya.example`). Two
//! mailboxes must never share a form, because an address verified by an identity provider may open an account: `ß` and
//! `ss`, `ı` and `i` stay distinct, and a letter that would become an ASCII one (`K`, the kelvin sign; `İ`) is refused.

use super::{BadCharacter, is_invisible, nfc, trim};

/// Why a text is not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailError {
    /// Not of the form `local@domain`, or too long.
    Form,
    Character(BadCharacter),
}

const LONGEST: usize = 254;

/// The normal form of an address. Catches typing errors, but does not check whether mail arrives.
pub fn email(text: &str) -> Result<String, EmailError> {
    let text = trim(text);
    let allowed = |c: char| !c.is_whitespace() && !is_invisible(c) && !turns_into_ascii(c);
    if let Some(bad) = BadCharacter::find(text, allowed) {
        return Err(EmailError::Character(bad));
    }
    let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Form)?;
    if local.is_empty() || domain.is_empty() || text.len() > LONGEST {
        return Err(EmailError::Form);
    }
    let domain = if domain.is_ascii() {
        domain.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(domain).map_err(|_| EmailError::Form)?
    };
    let email = format!("{}@{domain}", nfc(&lower(&nfc(local))));
    if email.len() > LONGEST || domain.is_empty() { Err(EmailError::Form) } else { Ok(email) }
}

/// The key for a search: the normal form, or the text itself if it is no valid address now but may have been stored
/// once.
pub fn email_key(text: &str) -> String {
    email(text).unwrap_or_else(|_| trim(text).to_ascii_lowercase())
}

/// Lower case letter by letter, regardless of context, unlike `str::to_lowercase` with a sigma.
pub fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

fn turns_into_ascii(c: char) -> bool {
    !c.is_ascii()
        && (c.to_lowercase().any(|c| c.is_ascii()) || nfc(c.encode_utf8(&mut [0; 4])).contains(|c: char| c.is_ascii()))
}
