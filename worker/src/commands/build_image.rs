//! `build-image`: builds the image as a job does, with nothing but the Docker engine. For machines where nothing runs
//! yet, and for administrators who want to see a build's output.
//!
//! The image is in no table, so no sweep ever removes it.

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use clawdeploy_shared::{db::image::ImageSource, telemetry::chain};
use tokio::{sync::mpsc, time::timeout};

use self::place::Place;
use crate::{
    config::BuildArgs,
    image::{BuildError, BuildOrder, BuildRequest, BuildSettings, BuildUpdate, BuiltImage, ImageBuilder},
    runtime::docker::Docker,
};

mod place;

/// Lines that wait to be printed.
const LINES: usize = 256;

/// The worker's settings that this command needs, and its own.
#[derive(Debug, Args)]
pub struct BuildImageConfig {
    /// Source of the image: git, release or registry
    #[arg(long, env = "CLAWDEPLOY_IMAGE_SOURCE", default_value = "git")]
    pub source: ImageSource,

    /// Tag that the image gets
    #[arg(long, env = "CLAWDEPLOY_IMAGE", default_value = "openclaw:local")]
    pub tag: String,

    /// Do nothing if the tag exists
    #[arg(long)]
    pub if_missing: bool,

    /// Address of the Docker Engine
    #[arg(long, env = "CLAWDEPLOY_DOCKER_HOST", default_value = "unix:///var/run/docker.sock")]
    pub docker_host: String,

    /// Label of the installation that the image belongs to
    #[arg(long, env = "CLAWDEPLOY_DEPLOYMENT", default_value = "clawdeploy")]
    pub deployment: String,

    /// Directory for a repository's objects while they are needed, for the source git
    #[arg(long, env = "CLAWDEPLOY_DATA_DIR", default_value = "/data/clawdeploy")]
    pub data_dir: PathBuf,

    #[command(flatten)]
    pub build: BuildArgs,
}

/// Builds the image, and prints the build's output as it comes and at the end what was made.
pub async fn run(config: BuildImageConfig) -> anyhow::Result<()> {
    let docker = Docker::connect(&config.docker_host, &config.deployment)?;
    if let Err(error) = docker.ping().await {
        bail!(
            "no Docker engine answers at {}: {}.\nStart it, or say with --docker-host (CLAWDEPLOY_DOCKER_HOST) where it is.",
            config.docker_host,
            chain(&error)
        );
    }
    if config.if_missing
        && let Some(image) = docker.inspect_image(&config.tag).await?
    {
        let version = docker.image_version(&config.tag).await?;
        let contents = contents(version.as_deref(), image.size.unwrap_or_default());
        return say(&format!("Image {} is already there: {contents}", config.tag));
    }
    let place = (config.source == ImageSource::Git).then(|| Place::take(&config.data_dir)).transpose()?;
    let settings = BuildSettings {
        image: &config.tag,
        source: config.source,
        build: &config.build,
        objects: place.as_ref().map(Place::objects).unwrap_or_default(),
    };
    let order = BuildOrder::new(settings, &BuildRequest::default()).map_err(|error| anyhow!("{error}."))?;
    let (updates, received) = mpsc::channel(LINES);
    let limit = config.build.build_within;
    let work = async {
        let made = timeout(limit, make(&config, &docker, &order, updates)).await;
        anyhow::Ok(made.unwrap_or_else(|_| Err(BuildError::TimedOut(limit))))
    };
    // If nobody reads the output any more, the build ends too.
    let (made, ()) = tokio::try_join!(work, print(received))?;
    let (built, tags) = made.map_err(|error| explained(&error))?;
    let contents = contents(built.version.as_deref(), built.size_bytes);
    say(&format!("Image {} (also {}) is ready: {contents}", tags[1], tags[0]))
}

/// Builds and sets the tags, which it returns.
async fn make(
    config: &BuildImageConfig,
    docker: &Docker,
    order: &BuildOrder,
    updates: mpsc::Sender<BuildUpdate>,
) -> Result<(BuiltImage, [String; 2]), BuildError> {
    let mut builder = ImageBuilder::new(docker, &order.source, &order.target, updates);
    let resolved = builder.resolve().await?;
    builder.check_room(&config.data_dir, config.build.min_disk_mib).await?;
    let built = builder.produce(&resolved, &order.limits).await?;
    builder.make_current(&built.image_id, &resolved).await?;
    Ok((built, builder.tags(&resolved)))
}

async fn print(mut updates: mpsc::Receiver<BuildUpdate>) -> anyhow::Result<()> {
    while let Some(update) = updates.recv().await {
        if let BuildUpdate::Line(line) = update {
            say(&line)?;
        }
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").context("cannot write to standard output")
}

/// What an image holds, for people.
fn contents(version: Option<&str>, size_bytes: i64) -> String {
    let version = version.map_or_else(|| "an unknown version of OpenClaw".to_owned(), |v| format!("OpenClaw {v}"));
    format!("{version}, {} MB", size_bytes / 1_000_000)
}

/// The error with the end of the build's output, and what to do.
fn explained(error: &BuildError) -> anyhow::Error {
    let advice = match error.kind().0 {
        "docker_unreachable" => "\nStart the Docker engine, then run this again.",
        "build_timed_out" => "\nAllow it more time, or run this again when the machine has less to do.",
        "source_missing" => {
            "\nCheck CLAWDEPLOY_OPENCLAW_REPOSITORY and CLAWDEPLOY_OPENCLAW_REF, or CLAWDEPLOY_OPENCLAW_REGISTRY_IMAGE."
        }
        "source_unreachable" => "\nCheck that this machine can reach it, then run this again.",
        "build_failed" => {
            "\nIf a download failed, check that containers reach the network. If a step was killed (code 137), allow it \
             more memory: CLAWDEPLOY_BUILD_MEMORY_MIB. Then run this again."
        }
        // Their messages say what to do.
        _ => "",
    };
    let limit = error.host_limit().map(|limit| format!("\n{}", limit.explain())).unwrap_or_default();
    anyhow!("{}.{}{advice}{limit}", chain(error), error.last_lines())
}

#[cfg(test)]
mod tests {
    use crate::config::WorkerConfig;

    use super::*;

    /// An environment variable means the same here and to a worker that runs.
    #[test]
    fn the_settings_are_those_of_a_worker() {
        let of = |command: clap::Command| {
            let known = command.get_arguments().filter_map(|arg| {
                Some((arg.get_env()?.to_owned(), (arg.get_default_values().to_vec(), arg.is_required_set())))
            });
            known.collect::<std::collections::BTreeMap<_, _>>()
        };
        let worker = of(WorkerConfig::augment_args(clap::Command::new("worker")));
        let here = of(BuildImageConfig::augment_args(clap::Command::new("build-image")));
        assert!(here.contains_key(std::ffi::OsStr::new("CLAWDEPLOY_OPENCLAW_VERSION")));
        for (setting, meaning) in here {
            assert_eq!(worker.get(&setting), Some(&meaning), "{}", setting.display());
        }
    }
}
