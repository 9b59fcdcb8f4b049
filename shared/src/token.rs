//! Random tokens and their hashes.

use rand::Rng as _;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// Prefix of every API token, so that secret scanners and people recognise one.
pub const API_TOKEN_PREFIX: &str = "claw_";

fn random_hex() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// A new gateway token: 64 hexadecimal digits, 256 random bits.
pub fn gateway_token() -> SecretString {
    random_hex().into()
}

/// A new API token: `claw_` and 64 hexadecimal digits.
pub fn api_token() -> SecretString {
    format!("{API_TOKEN_PREFIX}{}", random_hex()).into()
}

/// A new session token, also used for one-time secrets such as tickets: 64 hexadecimal digits, 256 random bits.
pub fn session_token() -> SecretString {
    random_hex().into()
}

/// A one-time recovery code in place of an authenticator app: 80 random bits in groups of four letters and digits.
pub fn recovery_code() -> SecretString {
    let mut bytes = [0_u8; 10];
    rand::rng().fill_bytes(&mut bytes);
    let digits = hex::encode(bytes);
    let groups: Vec<_> = (0..digits.len()).step_by(4).map(|at| &digits[at..at + 4]).collect();
    groups.join("-").into()
}

/// The stored hash of a token. One round of SHA-256 is enough for 256 random bits, which cannot be guessed.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
