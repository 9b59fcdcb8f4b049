//! The image of OpenClaw itself, which the worker's own builder makes.

use std::{fs::File, process::Stdio};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::{
    env::Image,
    programs::{self, Program},
    settings,
};

/// No installation's: containers that somebody starts of this image by hand inherit it.
const DEPLOYMENT: &str = "clawdeploy-tests";

/// Builds it if it is missing. The settings of a build, such as a registry, are those of whoever runs the tests.
pub async fn ensure_image() -> anyhow::Result<()> {
    let log = programs::dir().join("openclaw-image.log");
    let output = File::create(&log).with_context(|| log.display().to_string())?;
    let mut command = Command::new(Program::PlainWorker.path());
    command.args(["build-image", "--if-missing", "--source", "release", "--tag", &Image::Real.reference()]);
    command.args(["--docker-host", &settings::docker_host(), "--base-image", &settings::base_image()]);
    command.args(["--deployment", DEPLOYMENT]);
    // The command ends by itself, after CLAWDEPLOY_BUILD_SECONDS.
    let status = command.stdin(Stdio::null()).stdout(output).kill_on_drop(true).status().await;
    let status = status.context("the worker could not be started")?;
    ensure!(status.success(), "the image {} could not be built; its log is {}", Image::Real.reference(), log.display());
    Ok(())
}
