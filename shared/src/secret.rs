//! Encryption of secrets at rest: XChaCha20-Poly1305, bound to where the secret is stored.
//!
//! A sealed value has the form `v1.<key id>.<base64 of nonce and ciphertext>`. Its context (table, column, row) is
//! authenticated, so a value copied to another row cannot be opened there.
//!
//! The key file is a key ring with one key per line: the first seals, and all of them open. To rotate keys without
//! downtime, add the new key below, move it to the top, seal everything again (`clawdeploy-api secrets rotate`), and
//! remove the old key.

use std::{fmt, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

use crate::{ids::InstanceId, rpc::signature::CallKey};

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
    #[error("the key file {path} is readable by others; run: chmod 600 {path}")]
    KeyFileOpen { path: String },
    #[error(
        "line {line} of the key file {path} is not a key: 32 bytes in base64; make one with: openssl rand -base64 32"
    )]
    KeyForm { path: String, line: usize },
    #[error("the key file {path} has no key; make one with: openssl rand -base64 32")]
    NoKey { path: String },
    #[error("the sealed value is damaged, belongs to another row, or was sealed with another key")]
    Unreadable,
}

/// Where a secret is stored: the associated data of its encryption, so that a sealed value is useless elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    pub table: &'a str,
    pub column: &'a str,
    pub row: &'a str,
}

impl SealContext<'_> {
    fn associated_data(&self) -> String {
        format!("{}|{}|{}", self.table, self.column, self.row)
    }
}

/// One key of the ring.
#[derive(Clone)]
struct Key {
    /// Distinguishes keys without revealing anything about them.
    id: String,
    cipher: XChaCha20Poly1305,
    /// Derives the seeds of devices, and nothing else.
    devices: Hmac<Sha256>,
}

impl Key {
    /// `None` unless it is 32 bytes long.
    fn new(key: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(key).ok().filter(|_| key.len() == KEY_BYTES)?;
        let id = hex::encode(&Sha256::digest([b"clawdeploy key id".as_slice(), key].concat())[..4]);
        let mut parent = Hmac::<Sha256>::new_from_slice(key).ok()?;
        parent.update(b"clawdeploy gateway device");
        let devices = Hmac::new_from_slice(&parent.finalize().into_bytes()).ok()?;
        Some(Self { id, cipher, devices })
    }
}

/// Seals and opens secrets with the keys of this installation.
#[derive(Clone)]
pub struct Sealer {
    /// The key that seals.
    active: Key,
    /// Further keys that open.
    others: Vec<Key>,
    call_key: CallKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<&str> = self.others.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("Sealer").field("active", &self.active.id).field("others", &others).finish_non_exhaustive()
    }
}

impl Sealer {
    /// Reads the keys from a file that only its owner may read: 32 bytes in base64 each, one per line. Skips empty
    /// lines and those that begin with `#`.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        use std::os::unix::fs::PermissionsExt as _;
        let shown = || path.display().to_string();
        let unreadable = |source| SecretError::KeyFile { path: path.display().to_string(), source };
        let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(SecretError::KeyFileOpen { path: shown() });
        }
        let text = SecretString::from(std::fs::read_to_string(path).map_err(unreadable)?);
        let lines = text.expose_secret().lines().map(str::trim).enumerate();
        let mut keys = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let key = BASE64.decode(line).ok().filter(|key| key.len() == KEY_BYTES);
            keys.push(key.ok_or_else(|| SecretError::KeyForm { path: shown(), line: number + 1 })?);
        }
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        Self::from_keys(&keys).ok_or_else(|| SecretError::NoKey { path: shown() })
    }

    /// From a single key. `None` unless it is 32 bytes long.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        Self::from_keys(&[key])
    }

    /// From keys, the sealing one first. `None` unless there is at least one and each is 32 bytes long.
    pub fn from_keys(keys: &[&[u8]]) -> Option<Self> {
        let mut ring = keys.iter().map(|key| Key::new(key)).collect::<Option<Vec<_>>>()?.into_iter();
        Some(Self { active: ring.next()?, others: ring.collect(), call_key: CallKey::derive_all(keys)? })
    }

    /// The key that signs the API's calls to workers, derived from the same keys.
    pub fn call_key(&self) -> &CallKey {
        &self.call_key
    }

    /// Seeds of the keys of our devices on an instance's gateway: one from each key of the ring, the sealing one first.
    ///
    /// They are derived and not stored, so there is nothing to seal, restore or reseal.
    pub fn device_seeds(&self, instance: &InstanceId) -> Vec<SecretSlice<u8>> {
        let seed = |key: &Key| {
            let mut code = key.devices.clone();
            code.update(instance.as_str().as_bytes());
            code.finalize().into_bytes().to_vec().into()
        };
        std::iter::once(&self.active).chain(&self.others).map(seed).collect()
    }

    pub fn seal(&self, secret: &SecretString, context: SealContext<'_>) -> Result<String, SecretError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let aad = context.associated_data();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: aad.as_bytes() };
        let sealed = self.active.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::Unreadable)?;
        Ok(format!("{}{}", self.active_prefix(), BASE64.encode([&nonce[..], &sealed].concat())))
    }

    pub fn open(&self, sealed: &str, context: SealContext<'_>) -> Result<SecretString, SecretError> {
        let mut parts = sealed.splitn(3, '.');
        let (Some(VERSION), Some(key_id), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SecretError::Unreadable);
        };
        let mut ring = std::iter::once(&self.active).chain(&self.others);
        let key = ring.find(|key| key.id == key_id).ok_or(SecretError::Unreadable)?;
        let body = BASE64.decode(body).map_err(|_| SecretError::Unreadable)?;
        let (nonce, ciphertext) = body.split_first_chunk::<NONCE_BYTES>().ok_or(SecretError::Unreadable)?;
        let aad = context.associated_data();
        let opened = key
            .cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: aad.as_bytes() })
            .map_err(|_| SecretError::Unreadable)?;
        Ok(String::from_utf8(opened).map_err(|_| SecretError::Unreadable)?.into())
    }

    /// Prefix of every value that the active key has sealed.
    pub fn active_prefix(&self) -> String {
        format!("{VERSION}.{}.", self.active.id)
    }

    /// The value sealed again, or `None` if the active key has already sealed it.
    pub fn reseal(&self, sealed: &str, context: SealContext<'_>) -> Result<Option<String>, SecretError> {
        let opened = self.open(sealed, context)?;
        if sealed.starts_with(&self.active_prefix()) {
            return Ok(None);
        }
        self.seal(&opened, context).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SealContext<'static> = SealContext { table: "instances", column: "api_key", row: "a" };

    #[test]
    fn what_was_sealed_opens_in_its_place_only() {
        let sealer = Sealer::from_key(&[7; 32]).unwrap();
        let sealed = sealer.seal(&"sk-secret".into(), HERE).unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(sealer.open(&sealed, HERE).unwrap().expose_secret(), "sk-secret");
        assert!(sealer.open(&sealed, SealContext { row: "b", ..HERE }).is_err());
        assert!(Sealer::from_key(&[8; 32]).unwrap().open(&sealed, HERE).is_err());
        assert!(sealer.open("v1.x", HERE).is_err());
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(Sealer::from_key(&[7; 31]).is_none());
        assert!(Sealer::from_keys(&[&[7; 32], &[8; 33]]).is_none());
        assert!(Sealer::from_keys(&[]).is_none());
    }

    #[test]
    fn a_key_is_replaced_without_a_gap() {
        let (old, new): (&[u8], &[u8]) = (&[7; 32], &[8; 32]);
        let before = Sealer::from_key(old).unwrap();
        let sealed = before.seal(&"sk-secret".into(), HERE).unwrap();
        let both = Sealer::from_keys(&[new, old]).unwrap();
        assert_eq!(both.open(&sealed, HERE).unwrap().expose_secret(), "sk-secret");
        let anew = both.reseal(&sealed, HERE).unwrap().unwrap();
        assert_eq!(both.reseal(&anew, HERE).unwrap(), None);
        assert!(before.open(&anew, HERE).is_err());
        let after = Sealer::from_key(new).unwrap();
        assert_eq!(after.open(&anew, HERE).unwrap().expose_secret(), "sk-secret");
        assert!(after.reseal(&sealed, HERE).is_err());
        assert!(both.reseal(&anew, SealContext { row: "b", ..HERE }).is_err(), "of another row");
    }

    #[test]
    fn each_key_and_instance_has_a_device_of_its_own() {
        let seeds = |keys: &[&[u8]], id: &str| -> Vec<Vec<u8>> {
            let seeds = Sealer::from_keys(keys).unwrap().device_seeds(&id.parse().unwrap());
            seeds.iter().map(|seed| seed.expose_secret().to_vec()).collect()
        };
        let (old, new): (&[u8], &[u8]) = (&[7; 32], &[8; 32]);
        let both = seeds(&[new, old], "k3v9q0x2m7ab");
        assert_eq!(both, [seeds(&[new], "k3v9q0x2m7ab"), seeds(&[old], "k3v9q0x2m7ab")].concat());
        assert!(both[0].len() == 32 && both[0] != both[1] && both != seeds(&[new, old], "zzzzzzzzzzzz"));
    }

    #[test]
    fn a_key_file_is_a_ring() {
        use std::{io::Write as _, os::unix::fs::PermissionsExt as _};
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let (one, two) = (BASE64.encode([7; 32]), BASE64.encode([8; 32]));
        write!(file, "# since spring\n{one}\n\n{two}\n").unwrap();
        let read = |path: &Path| Sealer::from_file(path);
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
        let ring = read(file.path()).unwrap();
        let sealed = ring.seal(&"s".into(), HERE).unwrap();
        assert!(Sealer::from_key(&[7; 32]).unwrap().open(&sealed, HERE).is_ok(), "the first one seals");
        writeln!(file, "{}", BASE64.encode([7; 31])).unwrap();
        assert!(matches!(read(file.path()), Err(SecretError::KeyForm { line: 5, .. })));
        file.as_file().set_len(0).unwrap();
        assert!(matches!(read(file.path()), Err(SecretError::NoKey { .. })));
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(file.path()), Err(SecretError::KeyFileOpen { .. })));
    }
}
