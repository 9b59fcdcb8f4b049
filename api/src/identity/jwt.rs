//! Parses and verifies signed tokens (JWT, RFC 7519), as far as identity providers use them.
//!
//! Signatures are verified with ring, which TLS needs anyway. A token names its key and its algorithm. The key
//! determines which algorithm is allowed, and tokens with another one are refused.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

mod claims;

pub(super) use self::claims::{Claims, Mailbox, Verified, subject, text};

/// Accepted difference between clocks, in seconds.
const LEEWAY: f64 = 30.0;

/// Longer tokens are refused unread.
const MAX_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    #[error("it is not a valid signed token")]
    Form,
    #[error("its claim {0:?} is missing or malformed")]
    Claim(&'static str),
    #[error("its key is unknown, or does not match its algorithm")]
    Key,
    #[error("its signature is not valid")]
    Signature,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it has expired, or is not valid yet")]
    Time,
    #[error("it is for another audience")]
    Party,
    #[error("it belongs to another sign-in attempt")]
    Nonce,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    /// Issuers with a single key may omit it.
    kid: Option<String>,
    /// Extensions that the recipient must understand. None are supported.
    crit: Option<Value>,
}

/// A public key of the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point of the curve.
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

/// The signing keys in a key set, with their ids if they have any. `None`: the document is not a key set.
pub(super) fn keys(document: &[u8]) -> Option<Vec<(Option<String>, Key)>> {
    #[derive(Deserialize)]
    struct Jwks {
        keys: Vec<Value>,
    }
    let jwks: Jwks = serde_json::from_slice(document).ok()?;
    // Entries that cannot be parsed are skipped, such as keys of a new type.
    let keys = jwks.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Some(keys.filter_map(|jwk| Some((jwk.kid.clone(), key(&jwk)?))).collect())
}

fn key(jwk: &Jwk) -> Option<Key> {
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    match (jwk.kty.as_str(), jwk.alg.as_deref(), jwk.crv.as_deref()) {
        ("RSA", None | Some("RS256"), _) => Some(Key::Rsa { n: number(jwk.n.as_ref())?, e: number(jwk.e.as_ref())? }),
        ("EC", None | Some("ES256"), Some("P-256")) => {
            let coordinate = |text| {
                let number = number(text)?;
                Some([vec![0; 32_usize.checked_sub(number.len())?], number].concat())
            };
            Some(Key::P256([vec![4], coordinate(jwk.x.as_ref())?, coordinate(jwk.y.as_ref())?].concat()))
        }
        _ => None,
    }
}

/// A big-endian number. Padding is accepted: `=` in the text, or leading zeros. `None`: it is missing, malformed or
/// zero.
fn number(text: Option<&String>) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    (zeros < bytes.len()).then(|| bytes[zeros..].to_vec())
}

/// A parsed token. Nothing in it is verified yet.
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

    /// Whether the key with this id may have signed the token. If the key or the token has no id, only the signature
    /// decides.
    pub(super) fn may_be_by(&self, kid: Option<&str>) -> bool {
        self.header.kid.as_deref().zip(kid).is_none_or(|(said, named)| said == named)
    }

    /// Verifies the signature with this key.
    pub(super) fn is_signed_by(&self, key: &Key) -> Result<(), JwtError> {
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
        right.map_err(|_| JwtError::Signature)
    }

    /// The claims, if the issuer matches and the token is valid at `now` (seconds since 1970). Verify the signature
    /// first.
    pub(super) fn claims(&self, issuer: &str, now: f64) -> Result<Claims, JwtError> {
        let claims = Claims::read(&json::<Map<String, Value>>(self.payload)?)?;
        if claims.iss != issuer {
            return Err(JwtError::Issuer);
        }
        if claims.exp + LEEWAY <= now || claims.nbf.is_some_and(|from| from - LEEWAY > now) {
            return Err(JwtError::Time);
        }
        Ok(claims)
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
    use serde_json::json;

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
        read.and_then(|token| {
            token.is_signed_by(key)?;
            token.claims(ISSUER, NOW)?.is_for_any(&["https://panel.test".into()])
        })
        .err()
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
            ("exp", json!("never"), JwtError::Claim("exp")),
            ("exp", json!("NaN"), JwtError::Claim("exp")),
            ("exp", json!("inf"), JwtError::Claim("exp")),
            ("exp", Value::Null, JwtError::Claim("exp")),
            ("nbf", json!(NOW + 31.0), JwtError::Time),
            ("nbf", json!("always"), JwtError::Claim("nbf")),
            ("azp", json!("https://evil.test"), JwtError::Party),
            ("azp", Value::Null, JwtError::Party),
            ("sub", json!(""), JwtError::Claim("sub")),
            ("sub", json!(["user_1"]), JwtError::Claim("sub")),
            ("azp", json!(["https://panel.test"]), JwtError::Claim("azp")),
        ] {
            let mut claims = good();
            claims[field] = value;
            cases.push((header.clone(), claims, why));
        }
        for (header, why) in [
            (json!({ "alg": "none", "kid": "k1" }), JwtError::Key),
            (json!({ "alg": "HS256", "kid": "k1" }), JwtError::Key),
            (json!({ "alg": "RS256", "kid": "k1" }), JwtError::Key),
            (json!({ "alg": "ES256", "kid": 7 }), JwtError::Form),
            (json!({ "alg": "ES256", "kid": "k1", "crit": ["exp"] }), JwtError::Form),
        ] {
            cases.push((header, good(), why));
        }
        for (header, claims, why) in cases {
            assert_eq!(refused(&pair, &key, &header, &claims), Some(why), "{header} {claims}");
        }
    }

    /// Variants that providers are known to send.
    #[test]
    fn claims_of_other_forms_do_not_spoil_the_token() {
        let pair = pair();
        let key = Key::P256(pair.public_key().as_ref().to_vec());
        for (field, value) in [
            ("exp", json!("1000060")),
            ("exp", json!(1_000_060.75)),
            ("nbf", json!("999995")),
            ("iat", json!("yesterday")),
            ("sub", json!(4711)),
            ("aud", json!(7)),
            ("aud", json!([7, "you"])),
            ("nonce", json!(7)),
            ("email", json!(["a@b", "c@d"])),
            ("email_verified", json!("perhaps")),
            ("name", json!({ "given": "Ann" })),
            ("groups", json!({ "a": [1] })),
        ] {
            let mut claims = good();
            claims[field] = value.clone();
            let header = json!({ "alg": "ES256", "typ": "at+jwt" });
            assert_eq!(refused(&pair, &key, &header, &claims), None, "{field} {value}");
        }
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
            { "kty": "EC", "kid": "g", "crv": "P-256", "x": "AQAB" },
            { "kty": "OKP", "kid": "h", "crv": "Ed25519", "x": "AQAB" },
            { "kty": "new", "kid": "i", "alg": 7 },
            { "kty": "RSA", "n": "AAEAAQ==", "e": "AQAB" },
            7
        ] });
        let keys = keys(document.to_string().as_bytes()).unwrap();
        let names: Vec<_> = keys.iter().map(|(kid, _)| kid.as_deref()).collect();
        assert_eq!(names, [Some("a"), None, Some("f"), None]);
        assert_eq!(keys[3].1, Key::Rsa { n: vec![1, 0, 1], e: vec![1, 0, 1] }, "padded");
        let Key::P256(point) = &keys[2].1 else { panic!("{keys:?}") };
        assert_eq!((point.len(), &point[30..33], &point[62..]), (65, &[1, 0, 1][..], &[1, 0, 1][..]));
        assert!(super::keys(b"{}").is_none());
    }
}
