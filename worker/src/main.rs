//! `clawdeploy-worker`: does the work that the API accepted.

use clap::Parser;
use clawdeploy_shared::{config::LogArgs, telemetry};
use clawdeploy_worker::commands::Command;

#[derive(Debug, Parser)]
#[command(name = "clawdeploy-worker", version, about = "Runs ClawDeploy's jobs on Docker")]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    telemetry::init(&cli.log)?;
    cli.command.run()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn verify_cli() {
        super::Cli::command().debug_assert();
    }
}
