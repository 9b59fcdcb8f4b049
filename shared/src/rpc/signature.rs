//! Signatures authenticate the API's calls to workers.
//!
//! A signature is valid for one call (worker, instance, verb, arguments) and half a minute. It has the form
//! `v1.<expiry>.<HMAC-SHA256>` and does not name the call: the worker knows it, and a signature of another one does not
//! match. The key is derived from the key file, which both programs have.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Verb;
use crate::ids::InstanceId;

const VERSION: &str = "v1";

/// How long a signature is valid. The clocks of the two programs may differ by as much.
const LIFETIME: Duration = Duration::from_secs(30);

/// What a signature is valid for.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Name of the called worker.
    pub worker: &'a str,
    pub instance: &'a InstanceId,
    pub verb: Verb,
    /// The body of the request, byte for byte.
    pub arguments: &'a [u8],
}

/// Signs with the first key and accepts the signatures of any.
#[derive(Clone)]
pub struct CallKey {
    active: Hmac<Sha256>,
    others: Vec<Hmac<Sha256>>,
}

impl fmt::Debug for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallKey(..)")
    }
}

impl CallKey {
    /// Derives separate keys from the installation's: a key that signs calls never seals secrets. During a rotation,
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

    /// Signs a call, valid from now on.
    pub fn sign(&self, call: Call<'_>) -> String {
        self.until(unix_now() + LIFETIME.as_secs(), call)
    }

    /// Whether a signature is valid for this call. Does not say why it is not.
    pub fn verify(&self, signature: &str, call: Call<'_>) -> bool {
        let mut parts = signature.splitn(3, '.');
        let (Some(VERSION), Some(until), Some(code)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let (Ok(until), Ok(code)) = (until.parse::<u64>(), hex::decode(code)) else { return false };
        // Also rejects an expiry later than any signature can have.
        let good = unix_now()..=unix_now() + 2 * LIFETIME.as_secs();
        // Takes the same time for every wrong code.
        let mut keys = std::iter::once(&self.active).chain(&self.others);
        good.contains(&until) && keys.any(|key| code_by(key, until, call).verify_slice(&code).is_ok())
    }

    fn until(&self, until: u64, call: Call<'_>) -> String {
        let code = code_by(&self.active, until, call).finalize().into_bytes();
        format!("{VERSION}.{until}.{}", hex::encode(code))
    }
}

fn code_by(key: &Hmac<Sha256>, until: u64, call: Call<'_>) -> Hmac<Sha256> {
    let mut code = key.clone();
    code.update(&until.to_be_bytes());
    let parts = [call.worker.as_bytes(), call.instance.as_str().as_bytes(), call.verb.as_str().as_bytes()];
    for part in parts.into_iter().chain([call.arguments]) {
        // Prefixed with the length, so that no two calls encode the same.
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

    fn call(instance: &InstanceId) -> Call<'_> {
        Call { worker: "host-1-a", instance, verb: Verb::ApproveDevice, arguments: b"{}" }
    }

    #[test]
    fn a_signature_is_good_for_its_call_only() {
        let (key, id) = (CallKey::derive_all(&[&[7; 32]]).unwrap(), id());
        let signature = key.sign(call(&id));
        assert!(key.verify(&signature, call(&id)));
        let other = InstanceId::random();
        for wrong in [
            Call { worker: "host-1-b", ..call(&id) },
            Call { verb: Verb::RejectDevice, ..call(&id) },
            Call { arguments: b"{ }", ..call(&id) },
            call(&other),
        ] {
            assert!(!key.verify(&signature, wrong), "{wrong:?}");
        }
        assert!(!CallKey::derive_all(&[&[8; 32]]).unwrap().verify(&signature, call(&id)), "another key");
        assert!(CallKey::derive_all(&[&[8; 32], &[7; 32]]).unwrap().verify(&signature, call(&id)), "the key before");
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let (key, id) = (CallKey::derive_all(&[&[7; 32]]).unwrap(), id());
        let good = key.sign(call(&id));
        let shortened = &good[..good.len() - 2];
        for bad in ["", "v1", "v1..", "v1.1", "v2.1.00", "v1.99999999999999999999.00", "v1.x.00", shortened] {
            assert!(!key.verify(bad, call(&id)), "{bad:?}");
        }
        let later = good.replacen('1', "2", 2);
        assert!(!key.verify(&later, call(&id)), "its time was changed");
    }

    #[test]
    fn a_signature_expires() {
        let (key, id) = (CallKey::derive_all(&[&[7; 32]]).unwrap(), id());
        let now = unix_now();
        assert!(key.verify(&key.until(now + 10, call(&id)), call(&id)));
        assert!(!key.verify(&key.until(now - 1, call(&id)), call(&id)));
        assert!(!key.verify(&key.until(now + 3600, call(&id)), call(&id)), "none is made for so long");
    }
}
