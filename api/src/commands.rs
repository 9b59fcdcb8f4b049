//! The commands of the API's program: `serve`, and those that an operator runs by hand or from a script.

use std::{io::Write as _, time::Duration};

use anyhow::Context as _;
use clap::Subcommand;
use clawdeploy_shared::{config::DatabaseArgs, db::Db};
use tokio::runtime::Runtime;

use self::{
    healthcheck::Healthcheck, queue::QueueCommand, secrets::SecretsCommand, token::TokenCommand, user::UserCommand,
};
use crate::{
    config::ApiConfig,
    router::document,
    serve::{migrate_when_up, serve},
};

pub mod healthcheck;
pub mod queue;
pub mod secrets;
pub mod token;
pub mod user;

/// How long a command waits for Postgres.
const DATABASE_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve HTTP until SIGTERM
    Serve(Box<ApiConfig>),
    /// Run the database migrations
    Migrate(DatabaseArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Check that the API on this machine can serve requests
    Healthcheck(Healthcheck),
    /// Manage accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Manage API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Re-encrypt secrets in the database
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Check the job queue
    #[command(subcommand)]
    Queue(QueueCommand),
}

impl Command {
    /// Runs the command to its end, on its own runtime.
    ///
    /// The runtime is created here and not in `main`, because futures awaited in the binary crate are compiled once
    /// more there. That second copy costs minutes in each build.
    pub fn run(self) -> anyhow::Result<()> {
        let runtime = Runtime::new().context("cannot start the runtime")?;
        runtime.block_on(async move {
            match self {
                Self::Serve(config) => serve(*config).await,
                Self::Migrate(database) => migrate(&database).await,
                Self::Openapi => openapi(),
                Self::Healthcheck(args) => healthcheck::run(&args).await,
                Self::User(command) => user::run(command).await,
                Self::Token(command) => token::run(command).await,
                Self::Secrets(command) => secrets::run(command).await,
                Self::Queue(command) => queue::run(command).await,
            }
        })
    }
}

/// Migrates the schema.
pub async fn migrate(args: &DatabaseArgs) -> anyhow::Result<()> {
    connect(args).await.map(|_| ())
}

/// Prints the OpenAPI document.
pub fn openapi() -> anyhow::Result<()> {
    print_line(&document().to_pretty_json()?)
}

/// Connects to the database and migrates its schema.
async fn connect(args: &DatabaseArgs) -> anyhow::Result<Db> {
    let db = Db::new(args)?;
    migrate_when_up(&db, DATABASE_WAIT).await?;
    Ok(db)
}

/// Prints the result of a command to standard output. Everything else goes to the log.
fn print_line(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write to standard output")
}
