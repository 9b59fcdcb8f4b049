//! `clawdeploy-worker`: does the work that the API accepted.

use clap::{Parser, Subcommand};
use clawdeploy_shared::{config::LogArgs, telemetry};
use clawdeploy_worker::config::WorkerConfig;

#[derive(Debug, Parser)]
#[command(name = "clawdeploy-worker", version, about = "Does ClawDeploy's work on Docker")]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take jobs until told to end (SIGTERM), then finish what runs
    Run(Box<WorkerConfig>),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    telemetry::init(&cli.log)?;
    match cli.command {
        Command::Run(config) => clawdeploy_worker::run(*config).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn verify_cli() {
        super::Cli::command().debug_assert();
    }
}
