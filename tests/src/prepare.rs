//! What is prepared once, before the tests.

use anyhow::Context as _;

use crate::{database, fake, programs};

/// Builds the programs, the fake gateway's images and the template database. Fast if they are up to date.
pub async fn prepare() -> anyhow::Result<()> {
    programs::build()?;
    fake::build_images().await?;
    database::ensure_template().await.context("the template database")
}
