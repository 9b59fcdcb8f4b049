//! People whom somebody else knows: sign-in by `OpenID` Connect, and tokens (JWT) of the same provider for programs.
//!
//! - A token counts where its signature is by a key of the provider (`jwt`, `provider`), and issuer, time and party are
//!   right. Only what a key is for can be signed with it: RS256 with RSA keys, ES256 with those of the curve P-256.
//! - A person is known by issuer and subject. Whether an e-mail that the provider has verified leads to an account, or
//!   makes one, the operator says ([`Accounts`]).

use clap::{Args, ValueEnum};
use clawdeploy_shared::{
    db::{
        Conn, identity, setup,
        user::{self, NO_PASSWORD, NewUser, Role, User},
    },
    ids::UserId,
};
use secrecy::SecretString;
use serde_json::json;

use self::jwt::Claims;
use crate::{
    audit::{Entry, Target},
    error::AppResult,
    middleware::RequestContext,
    validate::is_email,
};

mod http;
mod jwt;
mod provider;

pub use self::provider::{IdentityError, Provider, SignIn};

/// Whom an identity that was never seen before leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Accounts {
    /// To the account with the e-mail that the provider has verified, if there is one
    Email,
    /// The same, and to a new account if there is none
    New,
}

#[derive(Debug, Clone, Args)]
pub struct IdentityArgs {
    /// Issuer whose people are let in: its URL, exactly as it calls itself
    #[arg(long, env = "CLAWDEPLOY_OIDC_ISSUER", requires = "oidc_accounts")]
    pub oidc_issuer: Option<String>,

    /// Whom an identity that was never seen before leads to
    #[arg(long, env = "CLAWDEPLOY_OIDC_ACCOUNTS", value_enum)]
    pub oidc_accounts: Option<Accounts>,

    /// What the issuer calls this panel; without it browsers cannot sign in there
    #[arg(long, env = "CLAWDEPLOY_OIDC_CLIENT_ID", requires = "public_url")]
    pub oidc_client_id: Option<String>,

    /// With which this panel proves to the issuer what it is
    #[arg(long, env = "CLAWDEPLOY_OIDC_CLIENT_SECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<SecretString>,

    /// What the button to sign in there says
    #[arg(long, env = "CLAWDEPLOY_OIDC_NAME", default_value = "Single sign-on")]
    pub oidc_name: String,

    /// For whom the issuer's tokens that programs may send are made, with commas between: audiences, or authorized parties
    #[arg(long, env = "CLAWDEPLOY_OIDC_PARTIES", value_delimiter = ',')]
    pub oidc_parties: Vec<String>,
}

/// What the provider has said of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    /// Verified by the provider.
    pub email: Option<String>,
    pub name: Option<String>,
}

impl Identity {
    fn of(claims: &Claims) -> Self {
        let email = claims.email.clone().filter(|email| claims.email_verified == Some(true) && is_email(email));
        let name = claims.name.clone().filter(|name| name.chars().count() <= 64 && !name.contains(char::is_control));
        Self { issuer: claims.iss.clone(), subject: claims.sub.clone(), email, name }
    }
}

/// Who that is here: `None`, if nobody, or somebody who is suspended. In a transaction of its own or a larger one.
pub async fn person(
    conn: &mut Conn,
    accounts: Accounts,
    who: &Identity,
    context: Option<&RequestContext>,
) -> AppResult<Option<User>> {
    let active = |user: User| Some(user).filter(|user| user.suspended_at.is_none());
    if let Some(user) = identity::find(conn, &who.issuer, &who.subject).await? {
        return Ok(active(user));
    }
    let Some(email) = &who.email else { return Ok(None) };
    let found = user::find_by_email(conn, email).await?.map(|(user, _)| user);
    let (user, action) = match (found, accounts) {
        (Some(user), _) => (user, "user.link_identity"),
        // The first account is the administrator's, and nobody else's.
        (None, Accounts::New) if !setup::is_required(conn).await? => {
            let name = who.name.as_deref().unwrap_or_default();
            let id = UserId::generate();
            let new = NewUser { id, email, name, password_hash: NO_PASSWORD, role: Role::User };
            (user::insert(conn, &new).await?, "user.create")
        }
        (None, _) => return Ok(None),
    };
    let Some(user) = active(user) else { return Ok(None) };
    if !identity::add(conn, &who.issuer, &who.subject, user.id).await? {
        // Another request was quicker.
        return Ok(identity::find(conn, &who.issuer, &who.subject).await?.and_then(active));
    }
    Entry::new(action, Target::User(user.id))
        .owned_by(user.id)
        .detail(json!({ "email": email, "issuer": who.issuer, "subject": who.subject }))
        .by_named(conn, &user.email, context)
        .await?;
    Ok(Some(user))
}
