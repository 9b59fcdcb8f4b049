//! The second factor of a sign-in: a code of an authenticator app, or a recovery code for people who have lost it.

use chrono::Utc;
use clawdeploy_shared::{
    db::{Conn, second_factor},
    ids::UserId,
    secret::Sealer,
    token::{recovery_code, token_hash},
    totp,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{AppError, AppResult};

/// Number of recovery codes of a person.
pub const RECOVERY_CODES: usize = 10;

/// Result of checking the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// No code is needed, or the code was right and is now used up.
    Given,
    /// A code is needed and none was sent.
    Missing,
    Wrong,
}

/// Checks the code that came with a correct password. Call it in the transaction of the sign-in, so that the code is
/// used up only if the sign-in succeeds.
pub async fn prove(conn: &mut Conn, sealer: &Sealer, user: UserId, code: Option<&SecretString>) -> AppResult<Proof> {
    let Some((sealed, true)) = second_factor::find(conn, user).await? else { return Ok(Proof::Given) };
    let Some(code) = code.map(|code| normal(code.expose_secret())).filter(|code| !code.is_empty()) else {
        return Ok(Proof::Missing);
    };
    let secret = sealer.open(&sealed, second_factor::seal_context(&user.to_string())).map_err(AppError::internal)?;
    let right = match totp::step_of(&secret, &code, Utc::now().timestamp()) {
        Some(step) => second_factor::use_step(conn, user, step).await?,
        None => second_factor::use_recovery_code(conn, user, &token_hash(&code)).await?,
    };
    Ok(if right { Proof::Given } else { Proof::Wrong })
}

/// Generates recovery codes: as they are shown, and as they are stored.
pub fn recovery_codes() -> (Vec<SecretString>, Vec<Vec<u8>>) {
    let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let hashes = codes.iter().map(|code| token_hash(&normal(code.expose_secret()))).collect();
    (codes, hashes)
}

/// The normal form of a typed code: without blanks and dashes, in lower case, and with full-width digits converted.
pub fn normal(code: &str) -> String {
    let narrow = |c: char| match c {
        '０'..='９' => char::from_u32(u32::from(c) - u32::from('０') + u32::from('0')).unwrap_or(c),
        c => c,
    };
    code.chars().map(narrow).filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_codes_are_taken_as_people_type_them() {
        let (codes, hashes) = recovery_codes();
        assert_eq!((codes.len(), hashes.len()), (RECOVERY_CODES, RECOVERY_CODES));
        let code = codes[0].expose_secret();
        assert_eq!(code.len(), 24, "{code}");
        assert_eq!(token_hash(&normal(&format!(" {} ", code.to_uppercase().replace('-', " ")))), hashes[0]);
        assert_ne!(hashes[0], hashes[1]);
        assert_eq!(normal("\u{feff}１２３ 456\n"), "123456");
    }
}
