//! E-mail addresses: one function decides which of them are the same.
//!
//! The normal form is what is stored and compared, byte for byte: composed (NFC), letters in lower case one by one, whatever the
//! language or the database's locale, the domain as DNS has it (`münchen.example` is `xn--mnchen-3ya.example`). Two mailboxes
//! must never share a form, since an address that a provider of identities has verified may open an account: `ß` and `ss`, `ı`
//! and `i` stay apart, and a letter that would become an ASCII one (`K`, the kelvin sign; `İ`) is refused.

use super::{BadCharacter, is_invisible, nfc, trim};

/// Why a text is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailError {
    /// Not something, an `@` and a domain; or too long.
    Form,
    Character(BadCharacter),
}

const LONGEST: usize = 254;

/// The normal form of an address. Enough to catch a slip; whether mail arrives there is another matter.
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

/// What to look for: the normal form, or for what is no address now, but may have been stored once, itself.
pub fn email_key(text: &str) -> String {
    email(text).unwrap_or_else(|_| trim(text).to_ascii_lowercase())
}

/// Letter by letter: what stands around one does not matter, as it does to `str::to_lowercase` with a sigma.
pub fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

fn turns_into_ascii(c: char) -> bool {
    !c.is_ascii()
        && (c.to_lowercase().any(|c| c.is_ascii()) || nfc(c.encode_utf8(&mut [0; 4])).contains(|c: char| c.is_ascii()))
}
