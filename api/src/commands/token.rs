//! `token create`: creates a token for a script without signing in.

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use clap::{Args, Subcommand};
use clawdeploy_shared::{
    config::DatabaseArgs,
    db::{
        DbError,
        token::{self, NewApiToken, TokenScope},
        user,
    },
    ids::TokenId,
    token::{api_token, token_hash},
};
use diesel_async::AsyncConnection as _;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{connect, print_line, user::ACTOR};
use crate::{
    audit::{Entry, Target},
    controllers::tokens::create::{DAYS, DEFAULT_DAYS},
    validate::Checks,
};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token and print it
    Create(CreateToken),
}

#[derive(Debug, Args)]
pub struct CreateToken {
    /// E-mail of the token's account
    #[arg(long)]
    email: String,

    /// Name of the token
    #[arg(long)]
    name: String,

    /// Scope of the token: read, operate or admin
    #[arg(long, default_value_t = TokenScope::Admin)]
    scope: TokenScope,

    /// Days until the token expires
    #[arg(long, default_value_t = DEFAULT_DAYS, value_parser = clap::value_parser!(i32).range(i64::from(DAYS.0)..=i64::from(DAYS.1)))]
    expires_days: i32,

    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(args) => create(args).await,
    }
}

/// Creates a token and prints nothing else.
async fn create(args: CreateToken) -> anyhow::Result<()> {
    let mut checks = Checks::default();
    let name = checks.name("name", &args.name);
    checks.done()?;
    let db = connect(&args.database).await?;
    let mut conn = db.conn().await?;
    let email = args.email.trim();
    let found = user::find_by_email(&mut conn, email).await?;
    let (user, _) =
        found.with_context(|| format!("there is no account {email}; create one with: clawdeploy-api user create"))?;

    let token = api_token();
    let new = NewApiToken {
        id: TokenId::generate(),
        user_id: user.id,
        name: &name,
        scope: args.scope,
        token_hash: token_hash(token.expose_secret()),
        expires_at: Some(Utc::now() + TimeDelta::days(args.expires_days.into())),
    };
    conn.transaction::<_, DbError, _>(async |conn| {
        let made = token::insert(conn, &new).await?;
        let entry = Entry::new("token.create", Target::Token(made.id)).owned_by(user.id);
        entry
            .detail(json!({ "name": name, "scope": args.scope, "days": args.expires_days }))
            .by_named(conn, ACTOR, None)
            .await
    })
    .await?;
    print_line(token.expose_secret())
}
