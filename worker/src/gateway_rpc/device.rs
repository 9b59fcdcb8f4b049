//! Our device on a gateway: an Ed25519 key, derived from the installation's key and the instance's id.
//!
//! The gateway chooses the nonce that is signed. That is harmless, because a key is used on one gateway only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use clawdeploy_shared::{ids::InstanceId, rpc::DeviceId, secret::Sealer};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// The version of the protocol that we speak.
const PROTOCOL: u32 = 4;
const ROLE: &str = "operator";
/// What we are to OpenClaw: a program, and no browser, so neither `Origin` nor a build is needed. A paired device is
/// bound to these values.
const CLIENT: &str = "gateway-client";
const MODE: &str = "backend";
const PLATFORM: &str = "linux";
/// The name that an owner reads in the dashboard.
const NAME: &str = "ClawDeploy";
/// Longest nonce that is signed. OpenClaw's have 36 characters.
const NONCE_CAP: usize = 128;

/// What the gateway wants signed.
#[derive(Debug, Deserialize)]
pub(super) struct Challenge {
    nonce: String,
    ts: u64,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// List devices. With the gateway's token all of them; without it a device sees only itself.
    Pairing,
    /// Everything. Less does not suspend a gateway.
    Admin,
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pairing => "operator.pairing",
            Self::Admin => "operator.admin",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Device {
    key: Ed25519KeyPair,
    pub(crate) id: DeviceId,
}

impl Device {
    /// Our devices on an instance's gateway: the one to use, then those from before a rotation of keys.
    pub(crate) fn all(sealer: &Sealer, instance: &InstanceId) -> Vec<Self> {
        sealer.device_seeds(instance).iter().filter_map(|seed| Self::from_seed(seed.expose_secret())).collect()
    }

    /// `None` unless it is 32 bytes long.
    pub(super) fn from_seed(seed: &[u8]) -> Option<Self> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let id = DeviceId::of_key(key.public_key().as_ref());
        Some(Self { key, id })
    }

    /// Parameters of `connect`. `None`: the challenge is not one of OpenClaw's.
    pub(super) fn connect(&self, challenge: &Challenge, token: &SecretString, scope: Scope) -> Option<Value> {
        let Challenge { nonce, ts } = challenge;
        if nonce.len() > NONCE_CAP {
            return None;
        }
        let (token, scope) = (token.expose_secret(), scope.as_str());
        // OpenClaw's payload `v3`; the last field would be the family of a mobile device.
        let signed = format!("v3|{}|{CLIENT}|{MODE}|{ROLE}|{scope}|{ts}|{token}|{nonce}|{PLATFORM}|", self.id);
        Some(json!({
            "minProtocol": PROTOCOL,
            "maxProtocol": PROTOCOL,
            "client": {
                "id": CLIENT, "mode": MODE, "platform": PLATFORM, "displayName": NAME, "version": env!("CARGO_PKG_VERSION"),
            },
            "role": ROLE,
            "scopes": [scope],
            "auth": { "token": token },
            "device": {
                "id": self.id,
                "publicKey": BASE64.encode(self.key.public_key()),
                "signature": BASE64.encode(self.key.sign(signed.as_bytes())),
                "signedAt": ts,
                "nonce": nonce,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn what_is_signed_is_what_openclaw_checks() {
        let device = Device::from_seed(&[7; 32]).unwrap();
        let challenge = Challenge { nonce: "abc".into(), ts: 1_796_024_402_771 };
        let sent = device.connect(&challenge, &"secret".into(), Scope::Pairing).unwrap();
        let bytes = |field: &str| BASE64.decode(sent["device"][field].as_str().unwrap()).unwrap();
        let id = "fe812c12f3ab4ce6ac5db69ac352f906cb1b11ef43fb33e252ef7ff552263889";
        assert_eq!(sent["device"]["id"], id);
        let signed =
            format!("v3|{id}|gateway-client|backend|operator|operator.pairing|1796024402771|secret|abc|linux|");
        UnparsedPublicKey::new(&ED25519, bytes("publicKey")).verify(signed.as_bytes(), &bytes("signature")).unwrap();
        assert_eq!(sent["scopes"], json!(["operator.pairing"]), "no more than the list needs");
        let long = Challenge { nonce: "x".repeat(NONCE_CAP + 1), ts: 0 };
        assert!(device.connect(&long, &"secret".into(), Scope::Admin).is_none());
    }
}
