//! Passwords: Argon2id with 19 MiB and two passes, as OWASP recommends, a few at a time and never on a runtime thread.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// Shorter ones are not accepted for new passwords.
pub const MIN_CHARS: usize = 12;

/// Longer ones are not even tried.
pub const MAX_BYTES: usize = 1024;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many are computed at once: each takes 19 MiB and a core for a while.
const AT_ONCE: usize = 2;

/// Hash of a password that nobody has. Checked where there is no account, so that the time an answer takes does not
/// tell who has one.
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
    #[error("the hashing thread ended")]
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
    /// What is stored of a new password: a PHC string.
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.run(move || {
            let hash: PasswordHash = argon2()?.hash_password(password.expose_secret().as_bytes())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether this is the password of the stored hash. Without an account (`None`) it is not, after the same work.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<bool, PasswordError> {
        self.run(move || {
            // What is no hash is nobody's password: such an account is opened by tokens only.
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
        // The permit goes with the work: a request that is dropped does not make room for another computation.
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
