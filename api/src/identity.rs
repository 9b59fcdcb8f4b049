//! Sign-in with `OpenID` Connect, and bearer tokens (JWT) of the same provider for programs.
//!
//! - A token is accepted if one of the provider's keys has signed it (`jwt`, `provider`) and its issuer, time and
//!   audience are right. The type of the key determines the algorithm: RS256 for RSA, ES256 for P-256.
//! - A person is identified by issuer and subject. The operator decides whether a verified e-mail links a new identity
//!   to an existing account, or creates an account as well ([`Accounts`]).

use clap::{ArgAction, Args, ValueEnum};
use clawdeploy_shared::{
    db::{
        Conn, identity, setup,
        user::{self, NO_PASSWORD, NewUser, Role, User},
    },
    ids::UserId,
    text,
};
use secrecy::SecretString;
use serde_json::json;

use self::jwt::{Claims, Verified};
use crate::{
    audit::{Entry, Target},
    error::AppResult,
    middleware::RequestContext,
    validate::MAX_NAME_CHARS,
};

mod http;
mod jwt;
mod provider;

pub use self::provider::{IdentityError, Provider, SignIn};

/// Which account a new identity leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accounts {
    /// Sign in to the existing account with the e-mail that the provider has verified
    Email,
    /// The same; create an account if there is none
    New,
}

#[derive(Debug, Clone, Args)]
pub struct IdentityArgs {
    /// URL of the identity provider, exactly as its configuration names the issuer
    #[arg(long, env = "CLAWDEPLOY_OIDC_ISSUER", requires = "oidc_accounts")]
    pub oidc_issuer: Option<String>,

    /// Which account a new identity signs in to
    #[arg(long, env = "CLAWDEPLOY_OIDC_ACCOUNTS", value_enum)]
    pub oidc_accounts: Option<Accounts>,

    /// Client id of this panel at the issuer; required for sign-in in browsers
    #[arg(long, env = "CLAWDEPLOY_OIDC_CLIENT_ID", requires = "public_url")]
    pub oidc_client_id: Option<String>,

    /// Client secret of this panel at the issuer
    #[arg(long, env = "CLAWDEPLOY_OIDC_CLIENT_SECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<SecretString>,

    /// Label of the sign-in button
    #[arg(long, env = "CLAWDEPLOY_OIDC_NAME", default_value = "Single sign-on")]
    pub oidc_name: String,

    /// Accept email addresses that the issuer does not mark as verified; only for a directory that assigns all addresses itself
    #[arg(long, env = "CLAWDEPLOY_OIDC_EMAIL_TRUSTED", default_value = "false", action = ArgAction::Set)]
    pub oidc_email_trusted: bool,

    /// Audiences or authorized parties of the issuer's tokens that are accepted from programs, separated by commas
    #[arg(long, env = "CLAWDEPLOY_OIDC_PARTIES", value_delimiter = ',')]
    pub oidc_parties: Vec<String>,
}

/// A person's identity, as the provider states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    /// The e-mail in its normal form, if it can be trusted: the provider has verified it, or the operator trusts the
    /// provider's e-mails.
    pub email: Result<String, NoEmail>,
    pub name: Option<String>,
}

/// Why an identity has no trusted e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEmail {
    #[error("the provider sends no claim \"email\"")]
    Missing,
    #[error("the provider's claim \"email\" is not an e-mail address")]
    Invalid,
    #[error("the provider sends no claim \"email_verified\" (or \"xms_edov\")")]
    VerifiedMissing,
    #[error("the provider says that the e-mail is not verified (claim \"email_verified\")")]
    Unverified,
}

impl NoEmail {
    /// Code of this error for the sign-in page.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing | Self::Invalid => "oidc_email_missing",
            Self::VerifiedMissing => "oidc_email_verified_missing",
            Self::Unverified => "oidc_email_unverified",
        }
    }
}

impl Identity {
    fn of(claims: &Claims, email_trusted: bool) -> Self {
        let name = claims.name.as_deref().and_then(|name| text::name(name).ok());
        let name = name.filter(|name| name.chars().count() <= MAX_NAME_CHARS);
        Self { issuer: claims.iss.clone(), subject: claims.sub.clone(), email: email(claims, email_trusted), name }
    }
}

/// The trusted e-mail. One that the provider marks as unverified is never trusted.
fn email(claims: &Claims, trusted: bool) -> Result<String, NoEmail> {
    let mailbox = &claims.mailbox;
    let sign_in_name = mailbox.sign_in_name.as_deref().filter(|_| trusted);
    let told = mailbox.email.as_deref().or_else(|| sign_in_name.filter(|name| text::email(name).is_ok()));
    let email = text::email(told.ok_or(NoEmail::Missing)?).map_err(|_| NoEmail::Invalid)?;
    match mailbox.verified {
        Verified::Yes => Ok(email),
        Verified::Missing if trusted => Ok(email),
        Verified::Missing => Err(NoEmail::VerifiedMissing),
        Verified::No => Err(NoEmail::Unverified),
    }
}

/// The account of an identity.
#[derive(Debug)]
pub enum Found {
    Somebody(Box<User>),
    /// There is no account, or it is suspended.
    Nobody,
    /// The identity is new, and without a trusted e-mail it cannot be linked to an account.
    NoEmail(NoEmail),
}

impl Found {
    fn active(user: User) -> Self {
        if user.suspended_at.is_none() { Self::Somebody(Box::new(user)) } else { Self::Nobody }
    }
}

/// Finds the account of an identity. Links or creates it if `accounts` allows. Call it in a transaction.
pub async fn person(
    conn: &mut Conn,
    accounts: Accounts,
    who: &Identity,
    context: Option<&RequestContext>,
) -> AppResult<Found> {
    if let Some(user) = identity::find(conn, &who.issuer, &who.subject).await? {
        return Ok(Found::active(user));
    }
    let email = match &who.email {
        Ok(email) => email,
        Err(why) => {
            let (issuer, subject) = (&who.issuer, &who.subject);
            tracing::warn!(issuer, subject, "An identity cannot be linked to an account: {why}");
            return Ok(Found::NoEmail(*why));
        }
    };
    let found = user::find_by_email(conn, email).await?.map(|(user, _)| user);
    let (user, action) = match (found, accounts) {
        (Some(user), _) => (user, "user.link_identity"),
        // The first account is that of the administrator and is never created here.
        (None, Accounts::New) if !setup::is_required(conn).await? => {
            let name = who.name.as_deref().unwrap_or_default();
            let id = UserId::generate();
            let new = NewUser { id, email, name, password_hash: NO_PASSWORD, role: Role::User };
            (user::insert(conn, &new).await?, "user.create")
        }
        (None, _) => return Ok(Found::Nobody),
    };
    if user.suspended_at.is_some() {
        return Ok(Found::Nobody);
    }
    if !identity::add(conn, &who.issuer, &who.subject, user.id).await? {
        // A concurrent request has linked the identity.
        let found = identity::find(conn, &who.issuer, &who.subject).await?;
        return Ok(found.map_or(Found::Nobody, Found::active));
    }
    Entry::new(action, Target::User(user.id))
        .owned_by(user.id)
        .detail(json!({ "email": email, "issuer": who.issuer, "subject": who.subject }))
        .by_named(conn, &user.email, context)
        .await?;
    Ok(Found::Somebody(Box::new(user)))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn told(claims: &Value, trusted: bool) -> Result<String, NoEmail> {
        let mut all = json!({ "iss": "https://id.test", "sub": "1", "exp": 1 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        email(&Claims::read(all.as_object().unwrap()).unwrap(), trusted)
    }

    #[test]
    fn an_email_counts_where_it_is_verified_or_the_provider_is_trusted() {
        let ok = Ok("a@b".to_owned());
        for (claims, plain, trusted) in [
            (json!({ "email": "A@b", "email_verified": "true" }), ok.clone(), ok.clone()),
            (json!({ "email": "A@b", "xms_edov": 1 }), ok.clone(), ok.clone()),
            (json!({ "email": "A@b" }), Err(NoEmail::VerifiedMissing), ok.clone()),
            (json!({ "email": "A@b", "email_verified": false }), Err(NoEmail::Unverified), Err(NoEmail::Unverified)),
            (json!({ "upn": "A@b" }), Err(NoEmail::Missing), ok.clone()),
            (json!({ "preferred_username": "A@b", "upn": 7 }), Err(NoEmail::Missing), ok.clone()),
            (json!({ "preferred_username": "ann" }), Err(NoEmail::Missing), Err(NoEmail::Missing)),
            (json!({ "email": "ann", "email_verified": true }), Err(NoEmail::Invalid), Err(NoEmail::Invalid)),
        ] {
            assert_eq!(told(&claims, false), plain, "{claims}");
            assert_eq!(told(&claims, true), trusted, "{claims}, trusted");
        }
    }
}
