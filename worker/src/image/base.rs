//! The base image of a release.

use clawdeploy_shared::openclaw::reference::ImageReference;
use tokio::sync::mpsc;

use super::{error::BuildError, output::Output};
use crate::runtime::docker::{Docker, Pulled};

/// Most compressed bytes pulled for one image.
pub(super) const PULL_CAP: i64 = 16 << 30;

/// Ensures that the base image is on the engine and returns its id. An existing one is never looked up again: it may
/// have been built on this machine, and a pull would replace or miss it.
pub(super) async fn ensure(docker: &Docker, base: &ImageReference, output: &mut Output) -> Result<String, BuildError> {
    let name = base.to_string();
    if let Some(id) = docker.image_id(&name).await? {
        return Ok(id);
    }
    output.line(&format!("Pulling the base image {base}, which is not on this engine")).await;
    pull(docker, base, output).await.map_err(|error| match error {
        BuildError::Docker(source) => BuildError::Base { base: name.clone(), source },
        other => other,
    })?;
    docker.image_id(&name).await?.ok_or(BuildError::NoImage)
}

/// Pulls an image and reports the progress.
pub(super) async fn pull(docker: &Docker, image: &ImageReference, output: &mut Output) -> Result<(), BuildError> {
    let (watch, mut pulled) = mpsc::channel(16);
    let pulling = async {
        let tag = image.digest().unwrap_or(image.tag());
        Ok(docker.pull_image(image.repository(), tag, watch).await?)
    };
    let watching = async {
        while let Some(Pulled { line, bytes }) = pulled.recv().await {
            if bytes > PULL_CAP {
                let why = format!("the image {image} is larger than {} GiB", PULL_CAP >> 30);
                return Err(BuildError::Refused(why));
            }
            if let Some(line) = line {
                output.line(&line).await;
            }
        }
        Ok(())
    };
    tokio::try_join!(pulling, watching).map(|_| ())
}
