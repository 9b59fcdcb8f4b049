//! What is prepared once, before the tests.

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::{database, fake, openclaw, programs};

/// What the tests need that are about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The stand-in gateway.
    StandIn,
    /// OpenClaw itself, too.
    OpenClaw,
}

/// Makes the programs, the stand-in's images, the template database and what else is needed. Quick where they are up to
/// date.
pub async fn prepare(needs: Needs) -> anyhow::Result<()> {
    spawn_blocking(programs::build_released).await??;
    // The image mostly waits for packages, and the compiler keeps the cores busy.
    let image = async { if needs == Needs::OpenClaw { openclaw::ensure_image().await } else { Ok(()) } };
    let others = async {
        spawn_blocking(programs::build_others).await??;
        fake::build_images().await?;
        database::ensure_template().await.context("the template database")
    };
    tokio::try_join!(image, others).map(drop)
}
