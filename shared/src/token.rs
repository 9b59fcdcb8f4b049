//! Random tokens and their hashes.

use rand::Rng as _;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// What every API token starts with, so that secret scanners and people recognise one.
pub const API_TOKEN_PREFIX: &str = "claw_";

fn random_hex() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// A new token that opens a gateway: 64 hexadecimal digits, 256 random bits.
pub fn gateway_token() -> SecretString {
    random_hex().into()
}

/// A new API token: `claw_` and 64 hexadecimal digits.
pub fn api_token() -> SecretString {
    format!("{API_TOKEN_PREFIX}{}", random_hex()).into()
}

/// What the cookie of a new session holds, and other secrets that are good once, such as tickets: 64 hexadecimal digits, 256
/// random bits.
pub fn session_token() -> SecretString {
    random_hex().into()
}

/// A code that signs in once instead of an authenticator app: 80 random bits in groups of four letters and digits.
pub fn recovery_code() -> SecretString {
    let mut bytes = [0_u8; 10];
    rand::rng().fill_bytes(&mut bytes);
    let digits = hex::encode(bytes);
    let groups: Vec<_> = (0..digits.len()).step_by(4).map(|at| &digits[at..at + 4]).collect();
    groups.join("-").into()
}

/// What is stored of a token. One round of SHA-256 is enough for 256 random bits: there is nothing to guess.
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
