//! The command line of the API.

use clap::Parser;
use clawdeploy_api::commands::Command;
use clawdeploy_shared::config::LogArgs;

/// The HTTP API of ClawDeploy
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    clawdeploy_shared::telemetry::init(&cli.log)?;
    cli.command.run()
}

#[test]
fn verify_cli() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}
