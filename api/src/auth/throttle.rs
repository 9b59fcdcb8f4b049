//! Limits attempts to guess a secret: ten in a minute and sixty in an hour, for each account and each network, over all
//! API processes. Successful attempts do not count.

use std::{net::IpAddr, time::Duration};

use clawdeploy_shared::{attempts::Attempts, text::email_key};
use sha2::{Digest as _, Sha256};

use crate::error::{AppError, AppResult, ErrorCode};

/// What attempts are counted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// An e-mail in its normal form, whether it has an account or not.
    Account(String),
    /// A client's address. IPv6 addresses count by /64, because one host usually has a whole one.
    Network(IpAddr),
}

impl Key {
    pub fn account(email: &str) -> Self {
        Self::Account(email_key(email))
    }

    pub fn network(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(v6) => Self::Network(IpAddr::V6((u128::from(v6) >> 64 << 64).into())),
            v4 @ IpAddr::V4(_) => Self::Network(v4),
        }
    }

    /// Of fixed length, and without the e-mail in readable form.
    fn digest(&self) -> String {
        let text = match self {
            Self::Account(email) => format!("account {email}"),
            Self::Network(ip) => format!("network {ip}"),
        };
        hex::encode(&Sha256::digest(text)[..16])
    }
}

/// Counts and refuses attempts.
#[derive(Debug)]
pub struct Throttle(Attempts);

/// A counted attempt.
#[derive(Debug)]
#[must_use]
pub struct Attempt {
    attempts: Attempts,
    keys: Vec<String>,
    name: String,
}

impl Throttle {
    pub fn new(attempts: Attempts) -> Self {
        Self(attempts)
    }

    /// Counts an attempt for each of `keys`. Refuses it if one of them has reached its limit.
    pub async fn attempt(&self, keys: &[Key]) -> AppResult<Attempt> {
        let keys: Vec<_> = keys.iter().map(Key::digest).collect();
        let name = uuid::Uuid::now_v7().to_string();
        match self.0.count(&keys, &name).await? {
            Ok(()) => Ok(Attempt { attempts: self.0.clone(), keys, name }),
            Err(wait) => Err(too_many(wait)),
        }
    }
}

impl Attempt {
    /// The attempt was successful and does not count.
    pub async fn was_right(self) {
        self.attempts.forgive(&self.keys, &self.name).await;
    }
}

fn too_many(wait: Duration) -> AppError {
    let seconds = wait.as_secs() + 1;
    AppError::new(ErrorCode::RateLimited, format!("Too many failed attempts. Try again in {seconds} s."))
        .with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_same_however_it_is_typed() {
        assert_eq!(Key::account("Ann@example.com").digest(), Key::account("ann@EXAMPLE.com").digest());
        assert_eq!(Key::account("A\u{308}NN@b").digest(), Key::account(" änn@b\n").digest());
        assert_ne!(Key::account("127.0.0.1").digest(), Key::network([127, 0, 0, 1].into()).digest());
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        assert_eq!(Key::network("2001:db8::1".parse().unwrap()), Key::network("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(Key::network("2001:db8::1".parse().unwrap()), Key::network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(Key::network("::ffff:10.0.0.1".parse().unwrap()), Key::network([10, 0, 0, 1].into()));
        assert_ne!(Key::network([10, 0, 0, 1].into()), Key::network([10, 0, 0, 2].into()));
    }
}
