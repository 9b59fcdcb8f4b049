//! The commands of the worker's program.

use anyhow::Context as _;
use clap::Subcommand;
use tokio::runtime::Runtime;

use self::{build_image::BuildImageConfig, doctor::DoctorConfig, recoverable::RecoverableCommand};
use crate::{
    adopt::{AdoptConfig, adopt},
    config::WorkerConfig,
    run,
};

pub mod build_image;
pub mod doctor;
pub mod recoverable;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take jobs until SIGTERM, then finish or hand back running ones
    Run(Box<WorkerConfig>),
    /// Bind database, data directory and Docker engine to each other; prints what belongs to what, and changes nothing
    /// without --yes
    Adopt(Box<AdoptConfig>),
    /// Restore instances whose files exist but whose rows do not
    #[command(subcommand)]
    Recoverable(RecoverableCommand),
    /// Build the image as a job does, without a database; prints the build's output
    BuildImage(Box<BuildImageConfig>),
    /// Check what an installation depends on (engine, kernel, disks, services), and say how to fix what is wrong
    Doctor(Box<DoctorConfig>),
}

impl Command {
    /// Runs the command to its end on a new runtime.
    ///
    /// The runtime is created here and not in `main`: awaited code is compiled into the program again, and a second
    /// copy of everything would cost minutes of each build.
    pub fn run(self) -> anyhow::Result<()> {
        let runtime = Runtime::new().context("cannot start the runtime")?;
        match self {
            Self::Run(config) => runtime.block_on(run(*config)),
            Self::Adopt(config) => runtime.block_on(adopt(*config)),
            Self::Recoverable(command) => runtime.block_on(recoverable::run(command)),
            Self::BuildImage(config) => runtime.block_on(build_image::run(*config)),
            Self::Doctor(config) => runtime.block_on(doctor::run(*config)),
        }
    }
}
