//! Parses the claims of a token. Providers write the same claim in several forms and send many that are not needed
//! here. So each claim is parsed separately, and only a required claim that cannot be parsed makes the token invalid.

use serde_json::{Map, Value};

use super::JwtError;

/// Claims about a person's e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::identity) struct Mailbox {
    pub(in crate::identity) email: Option<String>,
    pub(in crate::identity) verified: Verified,
    /// The sign-in name, if there is one. In many directories it is an e-mail, but it is never verified.
    pub(in crate::identity) sign_in_name: Option<String>,
}

/// Whether the provider has verified an e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::identity) enum Verified {
    Yes,
    No,
    /// The provider does not say.
    Missing,
}

/// Claims of a token.
#[derive(Debug, Clone)]
pub(in crate::identity) struct Claims {
    pub(in crate::identity) iss: String,
    pub(in crate::identity) sub: String,
    pub(super) aud: Vec<String>,
    pub(super) azp: Option<String>,
    pub(in crate::identity) exp: f64,
    pub(super) nbf: Option<f64>,
    pub(super) nonce: Option<String>,
    pub(in crate::identity) mailbox: Mailbox,
    pub(in crate::identity) name: Option<String>,
}

impl Claims {
    pub(in crate::identity) fn read(said: &Map<String, Value>) -> Result<Self, JwtError> {
        let needed = |claim| JwtError::Claim(claim);
        Ok(Self {
            iss: text(said, "iss").ok_or(needed("iss"))?,
            sub: subject(said).ok_or(needed("sub"))?,
            aud: names(said.get("aud")),
            // The authorized party is checked, so it must be readable if it is present.
            azp: match said.get("azp") {
                None | Some(Value::Null) => None,
                Some(_) => Some(text(said, "azp").ok_or(needed("azp"))?),
            },
            exp: time(said.get("exp")).ok_or(needed("exp"))?,
            nbf: match said.get("nbf") {
                None | Some(Value::Null) => None,
                nbf => Some(time(nbf).ok_or(needed("nbf"))?),
            },
            nonce: text(said, "nonce"),
            mailbox: Mailbox::read(said),
            name: text(said, "name"),
        })
    }

    /// Checks the token of a program: its audience or authorized party must be one of `parties`.
    pub(in crate::identity) fn is_for_any(&self, parties: &[String]) -> Result<(), JwtError> {
        let named = self.aud.iter().chain(&self.azp).any(|name| parties.contains(name));
        // An authorized party that is not accepted makes the token invalid whatever its audience.
        let other_party = self.azp.as_ref().is_some_and(|azp| !parties.contains(azp));
        if named && !other_party { Ok(()) } else { Err(JwtError::Party) }
    }

    /// Checks the ID token of a sign-in: it must be for this client and this attempt.
    pub(in crate::identity) fn is_of_sign_in(&self, client_id: &str, nonce: &str) -> Result<(), JwtError> {
        let sole = self.aud.len() == 1 || self.azp.is_some();
        let party = self.azp.as_deref().is_none_or(|azp| azp == client_id);
        if !self.aud.iter().any(|name| name == client_id) || !sole || !party {
            return Err(JwtError::Party);
        }
        if self.nonce.as_deref() == Some(nonce) { Ok(()) } else { Err(JwtError::Nonce) }
    }
}

impl Mailbox {
    pub(in crate::identity) fn read(said: &Map<String, Value>) -> Self {
        Self {
            email: text(said, "email"),
            // Entra sends `xms_edov` (the e-mail's domain has a verified owner) in place of `email_verified`.
            verified: match verified(said.get("email_verified")) {
                Verified::Missing => verified(said.get("xms_edov")),
                said => said,
            },
            sign_in_name: text(said, "upn").or_else(|| text(said, "preferred_username")),
        }
    }
}

/// The subject. Some providers send a number.
pub(in crate::identity) fn subject(said: &Map<String, Value>) -> Option<String> {
    let subject = match said.get("sub")? {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    (1..=255).contains(&subject.len()).then_some(subject)
}

/// A non-empty string. Values of other types count as missing.
pub(in crate::identity) fn text(said: &Map<String, Value>, claim: &str) -> Option<String> {
    said.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// One name or several, as issuers may send either. A value that is not a string becomes its JSON text: it matches no
/// party, but it still counts as one.
fn names(said: Option<&Value>) -> Vec<String> {
    let name = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match said {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(several)) => several.iter().map(name).collect(),
        Some(one) => vec![name(one)],
    }
}

/// Seconds since 1970, as a number, possibly with a fraction, or as a string.
fn time(said: Option<&Value>) -> Option<f64> {
    let seconds = match said? {
        Value::String(text) => text.trim().parse().ok()?,
        value => value.as_f64()?,
    };
    f64::is_finite(seconds).then_some(seconds)
}

/// A boolean in one of the forms that providers send: `true`, `"true"`, `"True"`, `1`, `"1"`. Any other value is false.
fn verified(said: Option<&Value>) -> Verified {
    let yes = match said {
        None | Some(Value::Null) => return Verified::Missing,
        Some(Value::Bool(yes)) => *yes,
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true") || text.trim() == "1",
        Some(Value::Array(_) | Value::Object(_)) => false,
    };
    if yes { Verified::Yes } else { Verified::No }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(mut claims: Value) -> Claims {
        for (claim, value) in [("iss", json!("https://id.test")), ("sub", json!("1")), ("exp", json!(1))] {
            if claims.get(claim).is_none() {
                claims[claim] = value;
            }
        }
        Claims::read(claims.as_object().unwrap()).unwrap()
    }

    #[test]
    fn a_token_of_a_sign_in_is_for_this_client_and_attempt() {
        let claims = |aud: Value, azp: Value| read(json!({ "nonce": "n", "aud": aud, "azp": azp }));
        let none = Value::Null;
        assert_eq!(claims(json!("me"), none.clone()).is_of_sign_in("me", "n"), Ok(()));
        assert_eq!(claims(json!(["me"]), none.clone()).is_of_sign_in("me", "n"), Ok(()));
        assert_eq!(claims(json!(["me", "you"]), json!("me")).is_of_sign_in("me", "n"), Ok(()));
        assert_eq!(claims(json!(["me", "you"]), none.clone()).is_of_sign_in("me", "n"), Err(JwtError::Party));
        assert_eq!(claims(json!(["me", 7]), none.clone()).is_of_sign_in("me", "n"), Err(JwtError::Party));
        assert_eq!(claims(json!("you"), json!("me")).is_of_sign_in("me", "n"), Err(JwtError::Party));
        assert_eq!(claims(json!("me"), json!("you")).is_of_sign_in("me", "n"), Err(JwtError::Party));
        assert_eq!(claims(json!("me"), none).is_of_sign_in("me", "m"), Err(JwtError::Nonce));
    }

    #[test]
    fn verified_in_all_forms_that_are_about() {
        for (claims, want) in [
            (json!({ "email_verified": true }), Verified::Yes),
            (json!({ "email_verified": "true" }), Verified::Yes),
            (json!({ "email_verified": "True" }), Verified::Yes),
            (json!({ "email_verified": 1 }), Verified::Yes),
            (json!({ "email_verified": "1" }), Verified::Yes),
            (json!({ "email_verified": false }), Verified::No),
            (json!({ "email_verified": "false" }), Verified::No),
            (json!({ "email_verified": 0 }), Verified::No),
            (json!({ "email_verified": 2 }), Verified::No),
            (json!({ "email_verified": "yes" }), Verified::No),
            (json!({ "email_verified": ["true"] }), Verified::No),
            (json!({ "email_verified": null }), Verified::Missing),
            (json!({}), Verified::Missing),
            (json!({ "xms_edov": "1" }), Verified::Yes),
            (json!({ "xms_edov": false }), Verified::No),
            (json!({ "email_verified": false, "xms_edov": true }), Verified::No),
        ] {
            assert_eq!(read(claims.clone()).mailbox.verified, want, "{claims}");
        }
    }

    #[test]
    fn a_subject_may_be_a_number() {
        assert_eq!(read(json!({ "sub": 4711 })).sub, "4711");
        for bad in [json!(""), json!(-1), json!(1.5), json!(true), json!("x".repeat(256))] {
            assert_eq!(subject(json!({ "sub": bad }).as_object().unwrap()), None);
        }
    }
}
