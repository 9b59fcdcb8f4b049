//! `user create`: lets the operator of the machine create accounts.

use std::io::Read as _;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use clawdeploy_shared::{
    config::DatabaseArgs,
    db::{
        Conn, DbError, second_factor, session, setup,
        user::{self, NewUser, Role, User},
    },
    ids::UserId,
};
use diesel_async::AsyncConnection as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{connect, print_line};
use crate::{
    audit::{Entry, Target},
    auth::password::{MAX_BYTES, MIN_CHARS, Passwords},
    validate::Checks,
};

/// Actor in the audit log.
pub(super) const ACTOR: &str = "clawdeploy-api";

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Create an account; an existing account is not changed
    Create(CreateUser),
}

#[derive(Debug, Args)]
pub struct CreateUser {
    /// E-mail address, used to sign in
    #[arg(long)]
    email: String,

    /// Name of the person
    #[arg(long, default_value = "")]
    name: String,

    /// Make the person an administrator
    #[arg(long)]
    admin: bool,

    /// Read the password from standard input
    #[arg(long, required = true)]
    password_stdin: bool,

    /// Reset the password of an existing account, remove its authenticator app and end its sessions
    #[arg(long)]
    reset_password: bool,

    #[command(flatten)]
    database: DatabaseArgs,
}

pub async fn run(command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Create(args) => create(args).await,
    }
}

/// Creates an account. An existing one is not changed unless its password is to be reset.
async fn create(args: CreateUser) -> anyhow::Result<()> {
    let mut checks = Checks::default();
    let email = &*checks.email("email", &args.email);
    let name = if args.name.trim().is_empty() { String::new() } else { checks.name("name", &args.name) };
    checks.done()?;
    let password = read_password(std::io::stdin().lock())?;
    let db = connect(&args.database).await?;
    let mut conn = db.conn().await?;

    if let Some((user, _)) = user::find_by_email(&mut conn, email).await? {
        if args.reset_password {
            reset(&mut conn, &user, password).await?;
            return print_line(&format!("{email} has a new password and was signed out everywhere."));
        }
        let hint = "nothing was changed; --reset-password sets the password";
        return print_line(&format!("{email} already exists (role {}); {hint}.", user.role));
    }
    let hash = Passwords::default().hash(password).await?;
    let role = if args.admin { Role::Admin } else { Role::User };
    let new = NewUser { id: UserId::generate(), email, name: &name, password_hash: &hash, role };
    conn.transaction::<_, DbError, _>(async |conn| {
        let user = user::insert(conn, &new).await?;
        setup::forget(conn).await?;
        let entry = Entry::new("user.create", Target::User(user.id)).owned_by(user.id);
        entry.detail(json!({ "email": email, "role": role })).by_named(conn, ACTOR, None).await
    })
    .await?;
    print_line(&format!("{email} was created (role {role})."))
}

async fn reset(conn: &mut Conn, user: &User, password: SecretString) -> anyhow::Result<()> {
    let hash = Passwords::default().hash(password).await?;
    conn.transaction::<_, DbError, _>(async |conn| {
        user::set_password(conn, user.id, &hash).await?;
        session::end_all(conn, user.id, None).await?;
        second_factor::remove(conn, user.id).await?;
        Entry::new("user.reset_password", Target::User(user.id)).owned_by(user.id).by_named(conn, ACTOR, None).await
    })
    .await?;
    Ok(())
}

fn read_password(mut from: impl std::io::Read) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    from.by_ref().take(64 * 1024).read_to_string(&mut text).context("cannot read the password from standard input")?;
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    let length = password.expose_secret().chars().count();
    if length < MIN_CHARS {
        bail!("the password has {length} characters; it needs at least {MIN_CHARS}");
    }
    ensure!(password.expose_secret().len() <= MAX_BYTES, "the password is longer than {MAX_BYTES} bytes");
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_passwords_are_refused() {
        assert_eq!(read_password(&b"correct horse\n"[..]).unwrap().expose_secret(), "correct horse");
        assert_eq!(read_password("äöüäöüäöüäöü\r\n".as_bytes()).unwrap().expose_secret().chars().count(), 12);
        assert!(read_password(&b"elevenchars\n"[..]).is_err());
        assert!(read_password(&b""[..]).is_err());
        assert!(read_password("x".repeat(2000).as_bytes()).is_err());
    }
}
