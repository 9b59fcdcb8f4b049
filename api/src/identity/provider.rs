//! The identity provider: its published configuration and keys, and sign-in with it.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use clawdeploy_shared::{telemetry::chain, text::email_key, token::session_token};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::{
    Accounts, Identity, IdentityArgs,
    http::{Call, HttpError, fetch},
    jwt::{Claims, JwtError, Key, Mailbox, Unverified, Verified, keys, subject, text},
};

/// Minimum time between two reads of the provider's keys that are caused by tokens without a valid signature.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The keys are read again after this time, so that a revoked key is no longer accepted.
const KEEP: Duration = Duration::from_hours(1);

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the token is not valid")]
    Token(#[from] JwtError),
    #[error("the identity provider failed")]
    Http(#[from] HttpError),
    #[error("the identity provider's answer does not conform to OpenID Connect: {0}")]
    Answer(&'static str),
}

/// The panel as a client of the provider, for sign-in in browsers.
#[derive(Debug)]
struct Client {
    id: String,
    secret: Option<SecretString>,
    redirect_uri: String,
}

impl Client {
    /// The form that exchanges a code for tokens, and its `Authorization` header, if any.
    fn token_request(&self, sign_in: &SignIn, code: &str, secret_in_form: bool) -> (String, Option<String>) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("client_id", &self.id)
            .append_pair("code_verifier", &sign_in.verifier);
        let authorization = match &self.secret {
            Some(secret) if secret_in_form => {
                form.append_pair("client_secret", secret.expose_secret());
                None
            }
            secret => secret.as_ref().map(|secret| basic(&self.id, secret)),
        };
        (form.finish(), authorization)
    }
}

/// Handle to the provider.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    pub accounts: Accounts,
    /// Label of the sign-in button.
    pub name: String,
    parties: Vec<String>,
    /// Whether to trust e-mails that the provider does not mark as verified.
    email_trusted: bool,
    client: Option<Client>,
    published: Mutex<Published>,
}

#[derive(Debug, Default)]
struct Published {
    document: Option<Arc<Document>>,
    keys: Vec<(Option<String>, Key)>,
    asked_at: Option<Instant>,
}

/// The provider's published configuration.
#[derive(Debug)]
struct Document {
    issuer: String,
    jwks_uri: Url,
    authorization_endpoint: Option<Url>,
    token_endpoint: Option<Url>,
    userinfo_endpoint: Option<Url>,
    /// Send the client secret in the form, because the provider does not accept it in a header.
    secret_in_form: bool,
}

impl Document {
    /// Parses the configuration. Only the required fields must be present and valid.
    fn read(body: &[u8]) -> Result<Self, IdentityError> {
        let said: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| IdentityError::Answer("its configuration is not a JSON object"))?;
        let url = |field| text(&said, field)?.parse().ok();
        let methods = said.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let takes = |method: &str| methods.is_some_and(|methods| methods.iter().any(|known| known == method));
        Ok(Self {
            issuer: text(&said, "issuer").ok_or(IdentityError::Answer("its configuration names no issuer"))?,
            jwks_uri: url("jwks_uri").ok_or(IdentityError::Answer("its configuration names no jwks_uri"))?,
            authorization_endpoint: url("authorization_endpoint"),
            token_endpoint: url("token_endpoint"),
            userinfo_endpoint: url("userinfo_endpoint"),
            // The default of OpenID Connect is the header.
            secret_in_form: takes("client_secret_post") && !takes("client_secret_basic"),
        })
    }
}

/// A sign-in attempt. The browser keeps it in a sealed cookie.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignIn {
    state: String,
    nonce: String,
    verifier: String,
    /// Seconds since 1970.
    expires: u64,
}

impl SignIn {
    /// How long a person may take at the provider.
    pub const LIFETIME: Duration = Duration::from_mins(10);

    fn new() -> Self {
        let random = || session_token().expose_secret().to_owned();
        Self { state: random(), nonce: random(), verifier: random(), expires: now() + Self::LIFETIME.as_secs() }
    }

    /// Whether a response with this state belongs to the attempt.
    pub fn is_of(&self, state: &str) -> bool {
        self.state == state && now() < self.expires
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Provider {
    /// `None`: no provider is configured.
    pub fn new(args: &IdentityArgs, public_url: Option<&str>) -> Option<Self> {
        let client = args.oidc_client_id.as_ref().map(|id| Client {
            id: id.clone(),
            secret: args.oidc_client_secret.clone(),
            redirect_uri: format!("{}/api/auth/oidc/callback", public_url.unwrap_or_default().trim_end_matches('/')),
        });
        Some(Self {
            issuer: args.oidc_issuer.clone()?,
            accounts: args.oidc_accounts?,
            name: args.oidc_name.clone(),
            parties: args.oidc_parties.iter().map(|party| party.trim().to_owned()).collect(),
            email_trusted: args.oidc_email_trusted,
            client,
            published: Mutex::default(),
        })
    }

    /// Whether browsers can sign in with this provider.
    pub fn signs_in(&self) -> bool {
        self.client.is_some()
    }

    /// Verifies a program's token. Returns its identity and its expiry (seconds since 1970).
    pub async fn bearer(&self, token: &str) -> Result<(Identity, i64), IdentityError> {
        let claims = self.claims(token).await?;
        claims.is_for_any(&self.parties)?;
        #[expect(clippy::cast_possible_truncation, reason = "a time; what is out of range ends at its bounds")]
        let expires = claims.exp as i64;
        Ok((Identity::of(&claims, self.email_trusted), expires))
    }

    /// Starts a sign-in: the URL to redirect the browser to, and the attempt that it must bring back.
    pub async fn begin(&self) -> Result<(Url, SignIn), IdentityError> {
        let client = self
            .client
            .as_ref()
            .ok_or(IdentityError::Answer("no client id is configured (CLAWDEPLOY_OIDC_CLIENT_ID)"))?;
        let document = self.document().await?;
        let mut url = document
            .authorization_endpoint
            .clone()
            .ok_or(IdentityError::Answer("its configuration names no authorization_endpoint"))?;
        let sign_in = SignIn::new();
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&sign_in.verifier));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", &client.redirect_uri)
            .append_pair("scope", "openid email profile")
            .append_pair("state", &sign_in.state)
            .append_pair("nonce", &sign_in.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((url, sign_in))
    }

    /// Completes a sign-in: exchanges the code for the person's identity.
    pub async fn end(&self, sign_in: &SignIn, code: &str) -> Result<Identity, IdentityError> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: Option<String>,
            access_token: Option<String>,
        }
        let client = self
            .client
            .as_ref()
            .ok_or(IdentityError::Answer("no client id is configured (CLAWDEPLOY_OIDC_CLIENT_ID)"))?;
        let document = self.document().await?;
        let url = document
            .token_endpoint
            .as_ref()
            .ok_or(IdentityError::Answer("its configuration names no token_endpoint"))?;
        let (form, authorization) = client.token_request(sign_in, code, document.secret_in_form);
        let body = fetch(Call { url, authorization, form: Some(form) }).await?;
        let tokens: Tokens =
            serde_json::from_slice(&body).map_err(|_| IdentityError::Answer("its token response is not valid JSON"))?;
        let id_token = tokens.id_token.ok_or(IdentityError::Answer("its token response has no id_token"))?;
        let mut claims = self.claims(&id_token).await?;
        claims.is_of_sign_in(&client.id, &sign_in.nonce)?;
        let incomplete = claims.mailbox.email.is_none() || claims.mailbox.verified == Verified::Missing;
        if incomplete && let (Some(url), Some(token)) = (&document.userinfo_endpoint, tokens.access_token) {
            match ask_for_email(&mut claims, url, &token).await {
                Ok(()) => {}
                Err(error @ IdentityError::Token(_)) => return Err(error),
                // An identity that is already linked needs no e-mail. For others, the error names the missing claim.
                Err(error) => {
                    tracing::warn!(error = chain(&error), "The identity provider's userinfo could not be read");
                }
            }
        }
        Ok(Identity::of(&claims, self.email_trusted))
    }

    /// Verifies a token and returns its claims.
    async fn claims(&self, token: &str) -> Result<Claims, IdentityError> {
        let token = Unverified::read(token)?;
        self.is_signed(&token).await?;
        #[expect(clippy::cast_precision_loss, reason = "seconds, for a very long time")]
        let now = now() as f64;
        Ok(token.claims(&self.issuer, now)?)
    }

    /// Verifies that one of the provider's keys has signed the token.
    async fn is_signed(&self, token: &Unverified<'_>) -> Result<(), IdentityError> {
        let mut published = self.published.lock().await;
        let age = published.asked_at.map(|at| at.elapsed());
        match (published.has_signed(token), age) {
            (Ok(()), Some(age)) if age < KEEP => return Ok(()),
            (Err(error), Some(age)) if age < ASK_AGAIN => return Err(error.into()),
            (known, _) => {
                published.asked_at = Some(Instant::now());
                match self.ask(&mut published).await {
                    Ok(()) => {}
                    // If the provider cannot be reached, the known keys stay valid.
                    Err(error) => return known.map_err(|_| error),
                }
            }
        }
        Ok(published.has_signed(token)?)
    }

    async fn document(&self) -> Result<Arc<Document>, IdentityError> {
        let mut published = self.published.lock().await;
        if published.document.is_none() {
            published.asked_at = Some(Instant::now());
            self.ask(&mut published).await?;
        }
        published.document.clone().ok_or(IdentityError::Answer("its configuration was not read"))
    }

    /// Reads the provider's configuration and keys.
    async fn ask(&self, published: &mut Published) -> Result<(), IdentityError> {
        let at = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let at: Url = at.parse().map_err(|_| IdentityError::Answer("the issuer is not a URL"))?;
        let body = fetch(Call { url: &at, authorization: None, form: None }).await?;
        let document = Document::read(&body)?;
        if document.issuer != self.issuer {
            return Err(IdentityError::Answer("its configuration names another issuer than CLAWDEPLOY_OIDC_ISSUER"));
        }
        let body = fetch(Call { url: &document.jwks_uri, authorization: None, form: None }).await?;
        published.keys = keys(&body).ok_or(IdentityError::Answer("its key set cannot be parsed"))?;
        published.document = Some(Arc::new(document));
        Ok(())
    }
}

impl Published {
    fn has_signed(&self, token: &Unverified<'_>) -> Result<(), JwtError> {
        let keys = self.keys.iter().filter(|(kid, _)| token.may_be_by(kid.as_deref()));
        let mut found = Err(JwtError::Key);
        for (_, key) in keys {
            match token.is_signed_by(key) {
                Ok(()) => return Ok(()),
                Err(JwtError::Key) => {}
                Err(error) => found = Err(error),
            }
        }
        found
    }
}

/// Reads the e-mail from the userinfo endpoint. Many providers send it, or its verification, only there.
async fn ask_for_email(claims: &mut Claims, url: &Url, access_token: &str) -> Result<(), IdentityError> {
    let authorization = Some(format!("Bearer {access_token}"));
    let body = fetch(Call { url, authorization, form: None }).await?;
    let said: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|_| IdentityError::Answer("its userinfo response is not a JSON object"))?;
    if subject(&said).as_ref() != Some(&claims.sub) {
        return Err(JwtError::Claim("sub").into());
    }
    claims.mailbox = merged(claims.mailbox.clone(), Mailbox::read(&said));
    claims.name = text(&said, "name").or(claims.name.take());
    Ok(())
}

/// Combines the e-mails of the ID token and of userinfo. An e-mail and its verification are taken from the same source,
/// because a verification of one address says nothing about another.
fn merged(token: Mailbox, asked: Mailbox) -> Mailbox {
    let sign_in_name = token.sign_in_name.clone().or(asked.sign_in_name.clone());
    let key = |mailbox: &Mailbox| mailbox.email.as_deref().map(email_key);
    let taken = if token.email.is_none() || key(&token) == key(&asked) { asked } else { token };
    Mailbox { sign_in_name, ..taken }
}

/// HTTP basic authentication, with both parts escaped as OAuth 2.0 requires.
fn basic(id: &str, secret: &SecretString) -> String {
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = format!("{}:{}", escaped(id), escaped(secret.expose_secret()));
    format!("Basic {}", BASE64_STANDARD.encode(both))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(with: &Value) -> Result<Document, IdentityError> {
        let mut document = json!({ "issuer": "https://id.test", "jwks_uri": "https://id.test/keys" });
        for (field, value) in with.as_object().unwrap() {
            document[field] = value.clone();
        }
        Document::read(document.to_string().as_bytes())
    }

    #[test]
    fn what_is_not_needed_in_a_configuration_may_be_anything() {
        let odd = json!({
            "authorization_endpoint": null, "token_endpoint": 7, "userinfo_endpoint": "", "scopes_supported": "openid",
            "id_token_signing_alg_values_supported": {}, "token_endpoint_auth_methods_supported": "client_secret_post",
        });
        let read = document(&odd).unwrap();
        assert_eq!((read.authorization_endpoint, read.token_endpoint, read.userinfo_endpoint), (None, None, None));
        assert!(!read.secret_in_form);
        let error = document(&json!({ "jwks_uri": null })).unwrap_err().to_string();
        assert!(error.ends_with("its configuration names no jwks_uri"), "{error}");
    }

    #[test]
    fn the_secret_goes_where_the_provider_takes_it() {
        for (methods, in_form) in [
            (json!(["client_secret_basic"]), false),
            (json!(["client_secret_post", "client_secret_basic"]), false),
            (json!(["client_secret_post", "private_key_jwt"]), true),
            (json!(["none"]), false),
        ] {
            let read = document(&json!({ "token_endpoint_auth_methods_supported": methods })).unwrap();
            assert_eq!(read.secret_in_form, in_form, "{methods}");
        }
    }

    #[test]
    fn a_verification_is_of_one_address() {
        let mailbox =
            |email: Option<&str>, verified| Mailbox { email: email.map(str::to_owned), verified, sign_in_name: None };
        let (missing, yes) = (Verified::Missing, Verified::Yes);
        for (token, asked, want) in [
            (mailbox(None, missing), mailbox(Some("a@b"), yes), mailbox(Some("a@b"), yes)),
            (mailbox(Some("A@b"), missing), mailbox(Some("a@b"), yes), mailbox(Some("a@b"), yes)),
            (mailbox(Some("a@b"), missing), mailbox(Some("other@b"), yes), mailbox(Some("a@b"), missing)),
            (mailbox(Some("a@b"), missing), mailbox(None, yes), mailbox(Some("a@b"), missing)),
            (mailbox(None, yes), mailbox(Some("a@b"), missing), mailbox(Some("a@b"), missing)),
        ] {
            assert_eq!(merged(token, asked), want);
        }
    }
}
