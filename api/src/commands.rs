//! What an operator runs by hand or from a script, beside `serve`.

use std::{io::Write as _, time::Duration};

use anyhow::Context as _;
use clawdeploy_shared::{config::DatabaseArgs, db::Db};

use crate::{router::document, serve::migrate_when_up};

pub mod healthcheck;
pub mod queue;
pub mod secrets;
pub mod token;
pub mod user;

/// How long a command waits for Postgres.
const DATABASE_WAIT: Duration = Duration::from_secs(5);

/// Brings the schema up to date.
pub async fn migrate(args: &DatabaseArgs) -> anyhow::Result<()> {
    connect(args).await.map(|_| ())
}

/// Prints the OpenAPI document.
pub fn openapi() -> anyhow::Result<()> {
    print_line(&document().to_pretty_json()?)
}

/// A database that answers and whose schema is up to date.
async fn connect(args: &DatabaseArgs) -> anyhow::Result<Db> {
    let db = Db::new(args)?;
    migrate_when_up(&db, DATABASE_WAIT).await?;
    Ok(db)
}

/// What a command is asked for goes to standard output, everything else to the log.
fn print_line(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write to standard output")
}
