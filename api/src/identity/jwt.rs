//! Signed tokens (RFC 7519), as far as providers of identities use them.
//!
//! The signature is checked by ring, which TLS brings along. A token says by which key it is signed and how; the key
//! itself says what it can be used for, and where the two differ the token is refused.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::{Deserialize, de::DeserializeOwned};

/// How far clocks may differ, in seconds.
const LEEWAY: f64 = 30.0;

/// Longer ones are not looked at.
const MAX_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    #[error("it is no signed token of a known form")]
    Form,
    #[error("its key is not one of the issuer's, or not for this algorithm")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it has expired, or is not good yet")]
    Time,
    #[error("it is for somebody else")]
    Party,
    #[error("it belongs to another attempt to sign in")]
    Nonce,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: String,
    /// Names what must be understood: nothing of it is here.
    crit: Option<serde_json::Value>,
}

/// One or several, as issuers like it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

/// What a token says. What is there in another form than this makes the whole token no token.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: String,
    #[serde(default)]
    pub(super) aud: Audience,
    pub(super) azp: Option<String>,
    pub(super) exp: f64,
    pub(super) nbf: Option<f64>,
    pub(super) nonce: Option<String>,
    pub(super) email: Option<String>,
    pub(super) email_verified: Option<bool>,
    pub(super) name: Option<String>,
}

/// A key of the issuer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point of P-256, uncompressed.
    P256(Vec<u8>),
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys that an issuer publishes, by their names.
pub(super) fn keys(document: &[u8]) -> Option<HashMap<String, Key>> {
    #[derive(Deserialize)]
    struct Jwks {
        keys: Vec<serde_json::Value>,
    }
    let jwks: Jwks = serde_json::from_slice(document).ok()?;
    // What is of another kind does not concern us.
    let keys = jwks.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Some(keys.filter_map(|jwk| Some((jwk.kid.clone()?, key(&jwk)?))).collect())
}

fn key(jwk: &Jwk) -> Option<Key> {
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let number = |text: &Option<String>| BASE64_URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
    match (jwk.kty.as_str(), jwk.alg.as_deref(), jwk.crv.as_deref()) {
        ("RSA", None | Some("RS256"), _) => Some(Key::Rsa { n: number(&jwk.n)?, e: number(&jwk.e)? }),
        ("EC", None | Some("ES256"), Some("P-256")) => {
            let (x, y) = (number(&jwk.x)?, number(&jwk.y)?);
            (x.len() == 32 && y.len() == 32).then(|| Key::P256([&[4], &x[..], &y[..]].concat()))
        }
        _ => None,
    }
}

/// A token whose form is right, and nothing more.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    header: Header,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    pub(super) fn read(token: &'a str) -> Result<Self, JwtError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtError::Form)?;
        if token.len() > MAX_BYTES || payload.contains('.') {
            return Err(JwtError::Form);
        }
        let header: Header = json(header)?;
        if header.crit.is_some() {
            return Err(JwtError::Form);
        }
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::Form)?;
        Ok(Self { header, signed, payload, signature })
    }

    /// Name of the key that it says to be signed with.
    pub(super) fn kid(&self) -> &str {
        &self.header.kid
    }

    /// What it says, if this key has signed it, this issuer has made it and it is good at `now` (seconds since 1970).
    pub(super) fn verify(&self, key: &Key, issuer: &str, now: f64) -> Result<Claims, JwtError> {
        let signed = self.signed.as_bytes();
        let right = match (key, self.header.alg.as_str()) {
            (Key::Rsa { n, e }, "RS256") => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, &self.signature)
            }
            (Key::P256(point), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, &self.signature)
            }
            _ => return Err(JwtError::Key),
        };
        right.map_err(|_| JwtError::Signature)?;
        let claims: Claims = json(self.payload)?;
        if claims.iss != issuer {
            return Err(JwtError::Issuer);
        }
        if claims.exp + LEEWAY <= now || claims.nbf.is_some_and(|from| from - LEEWAY > now) {
            return Err(JwtError::Time);
        }
        if claims.sub.is_empty() || claims.sub.len() > 255 {
            return Err(JwtError::Form);
        }
        Ok(claims)
    }
}

impl Claims {
    /// A token that a program sends must be for one of these: its audience, or the party that it was given to.
    pub(super) fn is_for_any(&self, parties: &[String]) -> Result<(), JwtError> {
        let named = self.aud.names().iter().chain(&self.azp).any(|name| parties.contains(name));
        // Where both are there, a party that is not ours is not made good by an audience.
        let other_party = self.azp.as_ref().is_some_and(|azp| !parties.contains(azp));
        if named && !other_party { Ok(()) } else { Err(JwtError::Party) }
    }

    /// The token of a sign-in must be for this very client, and for this very attempt.
    pub(super) fn is_of_sign_in(&self, client_id: &str, nonce: &str) -> Result<(), JwtError> {
        let names = self.aud.names();
        let sole = names.len() == 1 || self.azp.is_some();
        let party = self.azp.as_deref().is_none_or(|azp| azp == client_id);
        if !names.iter().any(|name| name == client_id) || !sole || !party {
            return Err(JwtError::Party);
        }
        if self.nonce.as_deref() == Some(nonce) { Ok(()) } else { Err(JwtError::Nonce) }
    }
}

fn json<T: DeserializeOwned>(part: &str) -> Result<T, JwtError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Form)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtError::Form)
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://id.test";
    const NOW: f64 = 1_000_000.0;

    fn pair() -> EcdsaKeyPair {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap()
    }

    fn token(pair: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn good() -> Value {
        json!({ "iss": ISSUER, "sub": "user_1", "azp": "https://panel.test", "exp": NOW + 60.0, "nbf": NOW - 5.0 })
    }

    fn refused(pair: &EcdsaKeyPair, key: &Key, header: &Value, claims: &Value) -> Option<JwtError> {
        let token = token(pair, header, claims);
        let read = Unverified::read(&token);
        read.and_then(|token| token.verify(key, ISSUER, NOW)?.is_for_any(&["https://panel.test".into()])).err()
    }

    #[test]
    fn only_what_the_issuer_has_signed_for_us_and_for_now() {
        let (pair, other) = (pair(), pair());
        let key = Key::P256(pair.public_key().as_ref().to_vec());
        let header = json!({ "alg": "ES256", "kid": "k1" });
        assert_eq!(refused(&pair, &key, &header, &good()), None);
        assert_eq!(refused(&other, &key, &header, &good()), Some(JwtError::Signature));
        let mut cases = Vec::new();
        for (field, value, why) in [
            ("iss", json!("https://id.test/"), JwtError::Issuer),
            ("exp", json!(NOW - 31.0), JwtError::Time),
            ("exp", json!("never"), JwtError::Form),
            ("exp", Value::Null, JwtError::Form),
            ("nbf", json!(NOW + 31.0), JwtError::Time),
            ("nbf", json!("always"), JwtError::Form),
            ("azp", json!("https://evil.test"), JwtError::Party),
            ("azp", Value::Null, JwtError::Party),
            ("sub", json!(""), JwtError::Form),
            ("aud", json!(7), JwtError::Form),
        ] {
            let mut claims = good();
            claims[field] = value;
            cases.push((header.clone(), claims, why));
        }
        for (header, why) in [
            (json!({ "alg": "none", "kid": "k1" }), JwtError::Key),
            (json!({ "alg": "HS256", "kid": "k1" }), JwtError::Key),
            (json!({ "alg": "RS256", "kid": "k1" }), JwtError::Key),
            (json!({ "alg": "ES256" }), JwtError::Form),
            (json!({ "alg": "ES256", "kid": "k1", "crit": ["exp"] }), JwtError::Form),
        ] {
            cases.push((header, good(), why));
        }
        for (header, claims, why) in cases {
            assert_eq!(refused(&pair, &key, &header, &claims), Some(why), "{header} {claims}");
        }
    }

    #[test]
    fn a_token_of_a_sign_in_is_for_this_client_and_attempt() {
        let claims = |aud: Value, azp: Value| -> Claims {
            let claims = json!({ "iss": ISSUER, "sub": "1", "exp": 1, "nonce": "n", "aud": aud, "azp": azp });
            serde_json::from_value(claims).unwrap()
        };
        let none = Value::Null;
        assert_eq!(claims(json!("me"), none.clone()).is_of_sign_in("me", "n"), Ok(()));
        assert_eq!(claims(json!(["me", "you"]), json!("me")).is_of_sign_in("me", "n"), Ok(()));
        assert_eq!(claims(json!(["me", "you"]), none.clone()).is_of_sign_in("me", "n"), Err(JwtError::Party));
        assert_eq!(claims(json!("you"), json!("me")).is_of_sign_in("me", "n"), Err(JwtError::Party));
        assert_eq!(claims(json!("me"), json!("you")).is_of_sign_in("me", "n"), Err(JwtError::Party));
        assert_eq!(claims(json!("me"), none).is_of_sign_in("me", "m"), Err(JwtError::Nonce));
    }

    #[test]
    fn keys_that_are_for_something_else_are_none() {
        let document = json!({ "keys": [
            { "kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB", "use": "sig", "alg": "RS256" },
            { "kty": "RSA", "kid": "b", "n": "AQAB", "e": "AQAB", "use": "enc" },
            { "kty": "RSA", "kid": "c", "n": "AQAB", "e": "AQAB", "alg": "PS256" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB" },
            { "kty": "oct", "kid": "d", "k": "AQAB" },
            { "kty": "EC", "kid": "e", "crv": "P-384", "x": "AQAB", "y": "AQAB" },
            { "kty": "EC", "kid": "f", "crv": "P-256", "x": "AQAB", "y": "AQAB" },
            7
        ] });
        let keys = keys(document.to_string().as_bytes()).unwrap();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["a"]);
        assert!(super::keys(b"{}").is_none());
    }
}
