//! Codes of authenticator apps: RFC 6238 with SHA-1, six digits and 30-second steps, as all apps support.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;

/// How long a code is shown, in seconds.
const STEP: i64 = 30;
const DIGITS: usize = 6;

/// RFC 4226 requires at least this many bits.
const SECRET_BYTES: usize = 20;

/// A new secret in base32, as apps expect it.
pub fn secret() -> SecretString {
    let mut bytes = [0_u8; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    BASE32_NOPAD.encode(&bytes).into()
}

/// The content of the QR code for an app.
pub fn url(issuer: &str, account: &str, secret: &SecretString) -> String {
    let (issuer, account) = (escaped(issuer), escaped(account));
    format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", secret.expose_secret())
}

/// The 30-second step, counted from 1970, that the code belongs to: that of `at` (seconds since 1970) or a neighbour,
/// because clocks differ. `None`: neither.
pub fn step_of(secret: &SecretString, code: &str, at: i64) -> Option<i64> {
    let key = key_of(secret)?;
    if code.len() != DIGITS || !code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Checks all of them, whichever matches, to take the same time.
    let now = at / STEP;
    let right = [now - 1, now, now + 1].map(|step| (step, code_of(&key, step).as_deref() == Some(code)));
    right.into_iter().find(|(_, right)| *right).map(|(step, _)| step)
}

/// The code that is shown at `at`.
pub fn code_at(secret: &SecretString, at: i64) -> Option<String> {
    code_of(&key_of(secret)?, at / STEP)
}

fn code_of(key: &[u8], step: i64) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let from = usize::from(digest.last()? & 0x0f);
    let word: [u8; 4] = digest.get(from..from + 4)?.try_into().ok()?;
    Some(format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000))
}

fn key_of(secret: &SecretString) -> Option<Vec<u8>> {
    BASE32_NOPAD.decode(secret.expose_secret().as_bytes()).ok()
}

/// Percent-encodes everything but letters, digits and a few signs without meaning in a URL.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~@".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, the last six digits.
    #[test]
    fn the_codes_of_the_rfc() {
        let secret = SecretString::from(BASE32_NOPAD.encode(b"12345678901234567890"));
        assert_eq!(secret.expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(&secret, at).as_deref(), Some(code));
            assert_eq!(step_of(&secret, code, at), Some(at / STEP));
            assert_eq!(step_of(&secret, code, at + STEP), Some(at / STEP), "a clock that is late");
            assert_eq!(step_of(&secret, code, at + 3 * STEP), None);
        }
    }

    #[test]
    fn what_is_no_code() {
        let secret = secret();
        assert_eq!(secret.expose_secret().len(), 32);
        for bad in ["", "12345", "1234567", "12345x", "１２３４５６"] {
            assert_eq!(step_of(&secret, bad, 59), None, "{bad:?}");
        }
        assert_eq!(step_of(&"not base32!".into(), "287082", 59), None);
    }

    #[test]
    fn a_url_for_an_app() {
        assert_eq!(
            url("Claw Deploy", "ann+x@example.com", &"ABC".into()),
            "otpauth://totp/Claw%20Deploy:ann%2Bx@example.com?secret=ABC&issuer=Claw%20Deploy"
        );
    }
}
