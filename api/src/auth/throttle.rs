//! Slows down guessing: so many attempts in a minute, for each key. Attempts that succeed do not count.
//!
//! Kept in this process: with several API processes an attacker gets the budget of each, which is still little.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_mins(1);

/// Attempts in a window.
const LIMIT: usize = 10;

/// Keys that are remembered before those whose window has passed are thrown out.
const TIDY_ABOVE: usize = 4096;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// An e-mail, known or not, in lower case.
    Account(String),
    /// A network, since one host has a whole /64 of IPv6 addresses.
    Network(IpAddr),
}

impl Key {
    pub fn account(email: &str) -> Self {
        // No address is longer, and nobody fills the memory with them.
        Self::Account(email.chars().take(254).collect::<String>().to_lowercase())
    }

    pub fn network(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V6(v6) => Self::Network(IpAddr::V6((u128::from(v6) >> 64 << 64).into())),
            v4 @ IpAddr::V4(_) => Self::Network(v4),
        }
    }
}

/// Counts attempts over a sliding window.
#[derive(Debug, Default)]
pub struct Throttle {
    attempts: Mutex<HashMap<Key, VecDeque<Instant>>>,
}

impl Throttle {
    /// Counts an attempt of all `keys` at `now`, or says how long to wait because one of them has had too many.
    pub fn attempt(&self, keys: &[Key], now: Instant) -> Result<(), Duration> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() > TIDY_ABOVE {
            attempts.retain(|_, times| times.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
        }
        for key in keys {
            let Some(times) = attempts.get_mut(key) else { continue };
            while times.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
                times.pop_front();
            }
            if times.len() >= LIMIT
                && let Some(first) = times.front()
            {
                return Err(WINDOW.saturating_sub(now.duration_since(*first)));
            }
        }
        for key in keys {
            attempts.entry(key.clone()).or_default().push_back(now);
        }
        Ok(())
    }

    /// Takes the attempt at `now` back: it was no guess.
    pub fn forgive(&self, keys: &[Key], now: Instant) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            let Some(times) = attempts.get_mut(key) else { continue };
            if let Some(at) = times.iter().position(|time| *time == now) {
                times.remove(at);
            }
            if times.is_empty() {
                attempts.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_attempt_in_a_minute_waits() {
        let throttle = Throttle::default();
        let start = Instant::now();
        let ann = [Key::account("Ann@example.com")];
        for i in 0..10 {
            throttle.attempt(&ann, start + Duration::from_secs(i)).unwrap();
        }
        let wait = throttle.attempt(&[Key::account("ann@example.com")], start + Duration::from_secs(20)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(40));
        // Refused attempts do not prolong the wait, and others are not concerned.
        throttle.attempt(&[Key::account("bob@example.com")], start).unwrap();
        throttle.attempt(&ann, start + Duration::from_mins(1)).unwrap();
        assert!(throttle.attempt(&ann, start + Duration::from_mins(1)).is_err());
    }

    #[test]
    fn success_costs_nothing() {
        let throttle = Throttle::default();
        let keys = [Key::account("a@b"), Key::network([127, 0, 0, 1].into())];
        for i in 0..100 {
            let now = Instant::now() + Duration::from_millis(i);
            throttle.attempt(&keys, now).unwrap();
            throttle.forgive(&keys, now);
        }
        assert!(throttle.attempts.lock().unwrap().is_empty());
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        assert_eq!(Key::network("2001:db8::1".parse().unwrap()), Key::network("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(Key::network("2001:db8::1".parse().unwrap()), Key::network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(Key::network("::ffff:10.0.0.1".parse().unwrap()), Key::network([10, 0, 0, 1].into()));
        assert_ne!(Key::network([10, 0, 0, 1].into()), Key::network([10, 0, 0, 2].into()));
    }
}
