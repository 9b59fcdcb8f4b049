//! Tickets authenticate the API's calls to workers.
//!
//! A ticket is valid for one errand (worker, instance, verb, arguments) and half a minute. It has the form
//! `v1.<expiry>.<HMAC-SHA256>` and does not name the errand: the worker knows it, and a ticket for another one does not
//! match. The key is derived from the key file, which both programs have.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{ids::InstanceId, inside::Verb};

const VERSION: &str = "v1";

/// How long a ticket is valid. The clocks of the two programs may differ by as much.
const LIFETIME: Duration = Duration::from_secs(30);

/// What a ticket is valid for.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// Name of the called worker.
    pub worker: &'a str,
    pub instance: &'a InstanceId,
    pub verb: Verb,
    /// The body of the request, byte for byte.
    pub arguments: &'a [u8],
}

/// Issues tickets with the first key and accepts those of any.
#[derive(Clone)]
pub struct TicketKey {
    active: Hmac<Sha256>,
    others: Vec<Hmac<Sha256>>,
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

impl TicketKey {
    /// Derives separate keys from the installation's: a key that signs tickets never seals secrets. During a rotation,
    /// the program restarted first signs with the new key, which the others know too.
    pub fn derive_all(keys: &[&[u8]]) -> Option<Self> {
        let derive = |key: &&[u8]| {
            let mut parent = Hmac::<Sha256>::new_from_slice(key).ok()?;
            parent.update(b"clawdeploy worker ticket");
            Hmac::new_from_slice(&parent.finalize().into_bytes()).ok()
        };
        let mut derived = keys.iter().map(derive).collect::<Option<Vec<_>>>()?.into_iter();
        Some(Self { active: derived.next()?, others: derived.collect() })
    }

    /// Issues a ticket for one errand, valid from now on.
    pub fn issue(&self, errand: Errand<'_>) -> String {
        self.until(unix_now() + LIFETIME.as_secs(), errand)
    }

    /// Whether a ticket is valid for this errand. Does not tell why not.
    pub fn admits(&self, ticket: &str, errand: Errand<'_>) -> bool {
        let mut parts = ticket.splitn(3, '.');
        let (Some(VERSION), Some(until), Some(code)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let (Ok(until), Ok(code)) = (until.parse::<u64>(), hex::decode(code)) else { return false };
        // Also rejects an expiry later than any ticket can have.
        let good = unix_now()..=unix_now() + 2 * LIFETIME.as_secs();
        // Takes the same time for every wrong code.
        let mut keys = std::iter::once(&self.active).chain(&self.others);
        good.contains(&until) && keys.any(|key| code_by(key, until, errand).verify_slice(&code).is_ok())
    }

    fn until(&self, until: u64, errand: Errand<'_>) -> String {
        let code = code_by(&self.active, until, errand).finalize().into_bytes();
        format!("{VERSION}.{until}.{}", hex::encode(code))
    }
}

fn code_by(key: &Hmac<Sha256>, until: u64, errand: Errand<'_>) -> Hmac<Sha256> {
    let mut code = key.clone();
    code.update(&until.to_be_bytes());
    let parts = [errand.worker.as_bytes(), errand.instance.as_str().as_bytes(), errand.verb.as_str().as_bytes()];
    for part in parts.into_iter().chain([errand.arguments]) {
        // Prefixed with the length, so that no two errands encode the same.
        code.update(&(part.len() as u64).to_be_bytes());
        code.update(part);
    }
    code
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> InstanceId {
        "k3v9q0x2m7ab".parse().unwrap()
    }

    fn errand(instance: &InstanceId) -> Errand<'_> {
        Errand { worker: "host-1-a", instance, verb: Verb::ApproveDevice, arguments: b"{}" }
    }

    #[test]
    fn a_ticket_is_good_for_its_errand_only() {
        let (key, id) = (TicketKey::derive_all(&[&[7; 32]]).unwrap(), id());
        let ticket = key.issue(errand(&id));
        assert!(key.admits(&ticket, errand(&id)));
        let other = InstanceId::random();
        for wrong in [
            Errand { worker: "host-1-b", ..errand(&id) },
            Errand { verb: Verb::RejectDevice, ..errand(&id) },
            Errand { arguments: b"{ }", ..errand(&id) },
            errand(&other),
        ] {
            assert!(!key.admits(&ticket, wrong), "{wrong:?}");
        }
        assert!(!TicketKey::derive_all(&[&[8; 32]]).unwrap().admits(&ticket, errand(&id)), "another key");
        assert!(TicketKey::derive_all(&[&[8; 32], &[7; 32]]).unwrap().admits(&ticket, errand(&id)), "the key before");
    }

    #[test]
    fn what_is_no_ticket_is_refused() {
        let (key, id) = (TicketKey::derive_all(&[&[7; 32]]).unwrap(), id());
        let good = key.issue(errand(&id));
        let shortened = &good[..good.len() - 2];
        for bad in ["", "v1", "v1..", "v1.1", "v2.1.00", "v1.99999999999999999999.00", "v1.x.00", shortened] {
            assert!(!key.admits(bad, errand(&id)), "{bad:?}");
        }
        let later = good.replacen('1', "2", 2);
        assert!(!key.admits(&later, errand(&id)), "its time was changed");
    }

    #[test]
    fn a_ticket_runs_out() {
        let (key, id) = (TicketKey::derive_all(&[&[7; 32]]).unwrap(), id());
        let now = unix_now();
        assert!(key.admits(&key.until(now + 10, errand(&id)), errand(&id)));
        assert!(!key.admits(&key.until(now - 1, errand(&id)), errand(&id)));
        assert!(!key.admits(&key.until(now + 3600, errand(&id)), errand(&id)), "none is made for so long");
    }
}
