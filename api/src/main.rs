//! The command line of the API.

use clap::{Parser, Subcommand};
use clawdeploy_api::{
    ApiConfig,
    commands::{
        self, healthcheck::Healthcheck, queue::QueueCommand, secrets::SecretsCommand, token::TokenCommand,
        user::UserCommand,
    },
};
use clawdeploy_shared::config::{DatabaseArgs, LogArgs};

/// The HTTP side of ClawDeploy
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP until SIGTERM
    Serve(Box<ApiConfig>),
    /// Bring the database up to date
    Migrate(DatabaseArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Fail unless the API on this machine can serve requests
    Healthcheck(Healthcheck),
    /// Accounts
    #[command(subcommand)]
    User(UserCommand),
    /// API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// What is sealed in the database
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// The job queue
    #[command(subcommand)]
    Queue(QueueCommand),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    clawdeploy_shared::telemetry::init(&cli.log)?;
    match cli.command {
        Command::Serve(config) => clawdeploy_api::serve(*config).await,
        Command::Migrate(database) => commands::migrate(&database).await,
        Command::Openapi => commands::openapi(),
        Command::Healthcheck(args) => commands::healthcheck::run(&args).await,
        Command::User(command) => commands::user::run(command).await,
        Command::Token(command) => commands::token::run(command).await,
        Command::Secrets(command) => commands::secrets::run(command).await,
        Command::Queue(command) => commands::queue::run(command).await,
    }
}

#[test]
fn verify_cli() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}
