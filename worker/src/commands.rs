//! The commands of the worker's program.

use anyhow::Context as _;
use clap::Subcommand;
use tokio::runtime::Runtime;

use self::recoverable::RecoverableCommand;
use crate::{
    adopt::{AdoptConfig, adopt},
    config::WorkerConfig,
    run,
};

pub mod recoverable;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take jobs until told to end (SIGTERM), then finish what runs
    Run(Box<WorkerConfig>),
    /// Make database, data directory and Docker engine belong together; says what belongs to what, and changes nothing without --yes
    Adopt(Box<AdoptConfig>),
    /// Instances whose files are there and whose rows are not
    #[command(subcommand)]
    Recoverable(RecoverableCommand),
}

impl Command {
    /// Runs the command to its end, on a runtime of its own.
    ///
    /// The runtime is made here and not in `main`: what a program awaits is compiled into the program once more, and a
    /// second copy of everything costs minutes of each build.
    pub fn run(self) -> anyhow::Result<()> {
        let runtime = Runtime::new().context("cannot start the runtime")?;
        match self {
            Self::Run(config) => runtime.block_on(run(*config)),
            Self::Adopt(config) => runtime.block_on(adopt(*config)),
            Self::Recoverable(command) => runtime.block_on(recoverable::run(command)),
        }
    }
}
