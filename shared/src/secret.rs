//! Secrets at rest: XChaCha20-Poly1305 with the place of the secret bound in.
//!
//! A sealed value reads `v1.<key id>.<base64 of nonce and ciphertext>`. The place (table, column, row) is
//! authenticated with it, so that a value copied to another row does not open there.

use std::{fmt, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::ticket::TicketKey;

const VERSION: &str = "v1";
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot read the key file {path}")]
    KeyFile {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the key file {path} may be read by others; run: chmod 600 {path}")]
    KeyFileOpen { path: String },
    #[error("the key file {path} does not hold 32 bytes in base64; make one with: openssl rand -base64 32")]
    KeyForm { path: String },
    #[error("the sealed value is damaged, of another row, or sealed with another key")]
    Unreadable,
}

/// Where a secret is stored.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub table: &'a str,
    pub column: &'a str,
    pub row: &'a str,
}

impl Place<'_> {
    fn associated_data(&self) -> String {
        format!("{}|{}|{}", self.table, self.column, self.row)
    }
}

/// Seals and opens secrets with the key of this installation.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    key_id: String,
    tickets: TicketKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Sealer {
    /// Reads the key: 32 bytes in base64, in a file that only its owner may read.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        use std::os::unix::fs::PermissionsExt as _;
        let shown = path.display().to_string();
        let unreadable = |source| SecretError::KeyFile { path: path.display().to_string(), source };
        let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(SecretError::KeyFileOpen { path: shown });
        }
        let text = SecretString::from(std::fs::read_to_string(path).map_err(unreadable)?);
        let key = BASE64.decode(text.expose_secret().trim()).unwrap_or_default();
        Self::from_key(&key).ok_or(SecretError::KeyForm { path: shown })
    }

    /// From the key itself; `None` unless it is 32 bytes long.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(key).ok().filter(|_| key.len() == KEY_BYTES)?;
        // Tells keys apart without telling anything about them.
        let key_id = hex::encode(&Sha256::digest([b"clawdeploy key id".as_slice(), key].concat())[..4]);
        Some(Self { cipher, key_id, tickets: TicketKey::derive(key)? })
    }

    /// What signs the API's calls to workers, derived from the same key.
    pub fn tickets(&self) -> &TicketKey {
        &self.tickets
    }

    pub fn seal(&self, secret: &SecretString, place: Place<'_>) -> Result<String, SecretError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let aad = place.associated_data();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: aad.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::Unreadable)?;
        Ok(format!("{VERSION}.{}.{}", self.key_id, BASE64.encode([&nonce[..], &sealed].concat())))
    }

    pub fn open(&self, sealed: &str, place: Place<'_>) -> Result<SecretString, SecretError> {
        let mut parts = sealed.splitn(3, '.');
        let (Some(VERSION), Some(key_id), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SecretError::Unreadable);
        };
        if key_id != self.key_id {
            return Err(SecretError::Unreadable);
        }
        let body = BASE64.decode(body).map_err(|_| SecretError::Unreadable)?;
        let (nonce, ciphertext) = body.split_first_chunk::<NONCE_BYTES>().ok_or(SecretError::Unreadable)?;
        let aad = place.associated_data();
        let opened = self
            .cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: aad.as_bytes() })
            .map_err(|_| SecretError::Unreadable)?;
        Ok(String::from_utf8(opened).map_err(|_| SecretError::Unreadable)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place { table: "instances", column: "api_key", row: "a" };

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let sealer = Sealer::from_key(&[7; 32]).unwrap();
        let sealed = sealer.seal(&"sk-secret".into(), HERE).unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(sealer.open(&sealed, HERE).unwrap().expose_secret(), "sk-secret");
        assert!(sealer.open(&sealed, Place { row: "b", ..HERE }).is_err());
        assert!(Sealer::from_key(&[8; 32]).unwrap().open(&sealed, HERE).is_err());
        assert!(sealer.open("v1.x", HERE).is_err());
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(Sealer::from_key(&[7; 31]).is_none());
    }
}
