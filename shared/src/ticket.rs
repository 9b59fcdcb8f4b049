//! Tickets: what the API shows a worker with every call, so that nobody else can give it errands.
//!
//! A ticket is good for one errand (which worker, which instance, which verb, with which arguments) and for half a minute.
//! It reads `v1.<when it runs out>.<HMAC-SHA256>` and names nothing of what it is bound to: the worker knows that itself,
//! and a ticket for anything else does not fit. The key is derived from the key file, which both programs have.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{ids::InstanceId, inside::Verb};

const VERSION: &str = "v1";

/// How long a ticket is good for. The clocks of the two programs may differ by as much.
const LIFETIME: Duration = Duration::from_secs(30);

/// What a ticket is good for.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// Name of the worker that is called.
    pub worker: &'a str,
    pub instance: &'a InstanceId,
    pub verb: Verb,
    /// The body of the request, byte for byte.
    pub arguments: &'a [u8],
}

/// Makes tickets by the first key, and checks them by any.
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
    /// Keys of its own from those of the installation: what signs tickets never seals secrets. While a key is replaced, the
    /// program that was restarted first signs with the new one, and the others know that too.
    pub fn derive_all(keys: &[&[u8]]) -> Option<Self> {
        let derive = |key: &&[u8]| {
            let mut parent = Hmac::<Sha256>::new_from_slice(key).ok()?;
            parent.update(b"clawdeploy worker ticket");
            Hmac::new_from_slice(&parent.finalize().into_bytes()).ok()
        };
        let mut derived = keys.iter().map(derive).collect::<Option<Vec<_>>>()?.into_iter();
        Some(Self { active: derived.next()?, others: derived.collect() })
    }

    /// A ticket for one errand, from now on.
    pub fn issue(&self, errand: Errand<'_>) -> String {
        self.until(unix_now() + LIFETIME.as_secs(), errand)
    }

    /// Whether a ticket is for this errand and still good. How it is wrong is not told.
    pub fn admits(&self, ticket: &str, errand: Errand<'_>) -> bool {
        let mut parts = ticket.splitn(3, '.');
        let (Some(VERSION), Some(until), Some(code)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let (Ok(until), Ok(code)) = (until.parse::<u64>(), hex::decode(code)) else { return false };
        // Also not one that runs out later than any that was ever made.
        let good = unix_now()..=unix_now() + 2 * LIFETIME.as_secs();
        // Takes as long for every wrong code.
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
        // With its length, so that no two errands read the same.
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
