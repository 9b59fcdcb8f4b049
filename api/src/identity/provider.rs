//! The provider of identities: what it publishes, and what it says of people.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use clawdeploy_shared::token::session_token;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::{
    Accounts, Identity, IdentityArgs,
    http::{Call, HttpError, fetch},
    jwt::{Claims, JwtError, Key, Unverified, keys},
};
use crate::extract::parsed;

/// Whoever shows keys that are not known causes one question in this time, not more.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Keys that were taken back are known so long.
const KEEP: Duration = Duration::from_hours(1);

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the token is not acceptable")]
    Token(#[from] JwtError),
    #[error("the provider of identities failed")]
    Http(#[from] HttpError),
    #[error("the provider of identities answers with something else than OpenID Connect asks for: {0}")]
    Answer(&'static str),
}

/// How browsers sign in there.
#[derive(Debug)]
struct Client {
    id: String,
    secret: Option<SecretString>,
    redirect_uri: String,
}

/// Handle on the provider.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    pub accounts: Accounts,
    /// What the button says.
    pub name: String,
    parties: Vec<String>,
    client: Option<Client>,
    published: Mutex<Published>,
}

#[derive(Debug, Default)]
struct Published {
    document: Option<Arc<Document>>,
    keys: HashMap<String, Key>,
    asked_at: Option<Instant>,
}

/// Where things are at the provider.
#[derive(Debug, Deserialize)]
struct Document {
    issuer: String,
    #[serde(deserialize_with = "parsed")]
    jwks_uri: Url,
    #[serde(default, deserialize_with = "parsed_if_any")]
    authorization_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "parsed_if_any")]
    token_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "parsed_if_any")]
    userinfo_endpoint: Option<Url>,
}

fn parsed_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    parsed(deserializer).map(Some)
}

/// One attempt to sign in, as the browser keeps it, sealed.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignIn {
    state: String,
    nonce: String,
    verifier: String,
    /// Seconds since 1970.
    expires: u64,
}

impl SignIn {
    /// How long a person may take over there.
    pub const LIFETIME: Duration = Duration::from_mins(10);

    fn new() -> Self {
        let random = || session_token().expose_secret().to_owned();
        Self { state: random(), nonce: random(), verifier: random(), expires: now() + Self::LIFETIME.as_secs() }
    }

    /// Whether an answer with this state belongs to it.
    pub fn is_of(&self, state: &str) -> bool {
        self.state == state && now() < self.expires
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Provider {
    /// `None`: there is none.
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
            client,
            published: Mutex::default(),
        })
    }

    /// Whether browsers can sign in there.
    pub fn signs_in(&self) -> bool {
        self.client.is_some()
    }

    /// Who has sent a token of the provider's, and until when (seconds since 1970) it is good.
    pub async fn bearer(&self, token: &str) -> Result<(Identity, i64), IdentityError> {
        let claims = self.claims(token).await?;
        claims.is_for_any(&self.parties)?;
        #[expect(clippy::cast_possible_truncation, reason = "a time; what is out of range ends at its bounds")]
        let expires = claims.exp as i64;
        Ok((Identity::of(&claims), expires))
    }

    /// Where the browser is to go, and what it has to bring back.
    pub async fn begin(&self) -> Result<(Url, SignIn), IdentityError> {
        let client = self.client.as_ref().ok_or(IdentityError::Answer("no client is set"))?;
        let document = self.document().await?;
        let mut url = document.authorization_endpoint.clone().ok_or(IdentityError::Answer("authorization_endpoint"))?;
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

    /// Who has come back with this code.
    pub async fn end(&self, sign_in: &SignIn, code: &str) -> Result<Identity, IdentityError> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
            access_token: Option<String>,
        }
        let client = self.client.as_ref().ok_or(IdentityError::Answer("no client is set"))?;
        let document = self.document().await?;
        let url = document.token_endpoint.as_ref().ok_or(IdentityError::Answer("token_endpoint"))?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &client.redirect_uri)
            .append_pair("client_id", &client.id)
            .append_pair("code_verifier", &sign_in.verifier)
            .finish();
        let authorization = client.secret.as_ref().map(|secret| basic(&client.id, secret));
        let body = fetch(Call { url, authorization, form: Some(form) }).await?;
        let tokens: Tokens = serde_json::from_slice(&body).map_err(|_| IdentityError::Answer("the tokens"))?;
        let mut claims = self.claims(&tokens.id_token).await?;
        claims.is_of_sign_in(&client.id, &sign_in.nonce)?;
        if claims.email.is_none()
            && let (Some(url), Some(token)) = (&document.userinfo_endpoint, tokens.access_token)
        {
            ask_for_email(&mut claims, url, &token).await?;
        }
        Ok(Identity::of(&claims))
    }

    /// What a token says, if it is the provider's and good now.
    async fn claims(&self, token: &str) -> Result<Claims, IdentityError> {
        let token = Unverified::read(token)?;
        let key = self.key(token.kid()).await?;
        #[expect(clippy::cast_precision_loss, reason = "seconds, for a very long time")]
        let now = now() as f64;
        Ok(token.verify(&key, &self.issuer, now)?)
    }

    async fn key(&self, kid: &str) -> Result<Key, IdentityError> {
        let mut published = self.published.lock().await;
        let age = published.asked_at.map(|at| at.elapsed());
        let known = published.keys.get(kid).cloned();
        match (known, age) {
            (Some(key), Some(age)) if age < KEEP => return Ok(key),
            (None, Some(age)) if age < ASK_AGAIN => return Err(JwtError::Key.into()),
            (known, _) => {
                published.asked_at = Some(Instant::now());
                match self.ask(&mut published).await {
                    Ok(()) => {}
                    // A provider that is away for a moment takes nobody's keys back.
                    Err(error) => return known.ok_or(error),
                }
            }
        }
        published.keys.get(kid).cloned().ok_or_else(|| JwtError::Key.into())
    }

    async fn document(&self) -> Result<Arc<Document>, IdentityError> {
        let mut published = self.published.lock().await;
        if published.document.is_none() {
            published.asked_at = Some(Instant::now());
            self.ask(&mut published).await?;
        }
        published.document.clone().ok_or(IdentityError::Answer("its configuration"))
    }

    /// Reads what the provider publishes.
    async fn ask(&self, published: &mut Published) -> Result<(), IdentityError> {
        let at = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let at: Url = at.parse().map_err(|_| IdentityError::Answer("the issuer is no URL"))?;
        let body = fetch(Call { url: &at, authorization: None, form: None }).await?;
        let document: Document =
            serde_json::from_slice(&body).map_err(|_| IdentityError::Answer("its configuration"))?;
        if document.issuer != self.issuer {
            return Err(IdentityError::Answer("it calls itself by another name than the issuer that is set"));
        }
        let body = fetch(Call { url: &document.jwks_uri, authorization: None, form: None }).await?;
        published.keys = keys(&body).ok_or(IdentityError::Answer("its keys"))?;
        published.document = Some(Arc::new(document));
        Ok(())
    }
}

/// Many providers tell the e-mail only to whoever asks for it.
async fn ask_for_email(claims: &mut Claims, url: &Url, access_token: &str) -> Result<(), IdentityError> {
    #[derive(Deserialize)]
    struct Info {
        sub: String,
        email: Option<String>,
        email_verified: Option<bool>,
        name: Option<String>,
    }
    let authorization = Some(format!("Bearer {access_token}"));
    let body = fetch(Call { url, authorization, form: None }).await?;
    let info: Info = serde_json::from_slice(&body).map_err(|_| IdentityError::Answer("what it says of the person"))?;
    if info.sub != claims.sub {
        return Err(IdentityError::Answer("it speaks of another person"));
    }
    claims.email = info.email;
    claims.email_verified = info.email_verified;
    claims.name = info.name.or(claims.name.take());
    Ok(())
}

/// HTTP's basic authentication, with the parts escaped as OAuth 2.0 has it.
fn basic(id: &str, secret: &SecretString) -> String {
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = format!("{}:{}", escaped(id), escaped(secret.expose_secret()));
    format!("Basic {}", BASE64_STANDARD.encode(both))
}
