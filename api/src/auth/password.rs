//! Hashes passwords with Argon2id: 19 MiB and two passes, as OWASP recommends. Few run at a time, and never on a
//! runtime thread.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// Minimum length of new passwords.
pub const MIN_CHARS: usize = 12;

/// Longer passwords are rejected without hashing.
pub const MAX_BYTES: usize = 1024;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many hashes are computed at a time. Each takes 19 MiB and a core for a while.
const AT_ONCE: usize = 2;

/// Hash of a random password. It is verified if there is no account, so that the response time does not reveal which
/// accounts exist.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$EZ9e4rPh8apyWOnWUtR2oA$HYnFsyrSy9BfD8qZejkiMR0h4k3PvJEPUYzQ+xbcjxM";

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("Argon2 failed")]
    Argon2(#[from] argon2::Error),
    #[error("hashing failed")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("the built-in hash is damaged")]
    BuiltIn(#[from] argon2::password_hash::phc::Error),
    #[error("the hashing task failed")]
    Thread(#[from] tokio::task::JoinError),
    #[error("hashing was shut down")]
    Closed(#[from] tokio::sync::AcquireError),
}

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    /// Hashes a new password to a PHC string.
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.run(move || {
            let hash: PasswordHash = argon2()?.hash_password(password.expose_secret().as_bytes())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Verifies a password. Without a stored hash (no account) the result is false, after the same work.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<bool, PasswordError> {
        self.run(move || {
            // A stored value that is not a hash matches no password. Accounts without a password have one.
            let own = stored.and_then(|stored| PasswordHash::new(&stored).ok());
            let known = own.is_some();
            let hash = own.map_or_else(|| PasswordHash::new(NOBODY), Ok)?;
            let right = argon2()?.verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
            Ok(known && right)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        // The task holds the permit, so a dropped request does not allow another computation while this one runs.
        let run = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(run).await?
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::Error> {
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(MEMORY_KIB, PASSES, LANES, None)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse battery".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody() {
        assert!(NOBODY.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(!Passwords::default().verify("x".into(), None).await.unwrap());
        assert!(!Passwords::default().verify("!".into(), Some("!".into())).await.unwrap());
    }
}
