//! The image that ours is built on.

use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;

use super::{error::BuildError, output::Output, reference::ImageReference};
use crate::docker::{Docker, DockerError};

/// A base image of a few hundred megabytes over a slow line. A registry that does not answer is given up sooner by the
/// engine itself.
const PULL_LIMIT: Duration = Duration::from_mins(15);

/// Sees to it that the base image is on the engine. One that is there is never looked up again: it may have been made on
/// this machine, and a pull would replace or miss it.
pub(super) async fn ensure(docker: &Docker, base: &ImageReference, output: &mut Output) -> Result<(), BuildError> {
    if docker.image_id(&base.to_string()).await?.is_some() {
        return Ok(());
    }
    output.line(&format!("The base image {base} is not here; pulling it")).await;
    pull(docker, base, output).await.map_err(|source| BuildError::Base { base: base.to_string(), source })
}

async fn pull(docker: &Docker, base: &ImageReference, output: &mut Output) -> Result<(), DockerError> {
    let api = docker.api().await?;
    let options = CreateImageOptionsBuilder::default().from_image(base.repository()).tag(base.tag()).build();
    let read = async {
        let mut pulled = api.create_image(Some(options), None, None);
        while let Some(piece) = pulled.next().await {
            let piece = piece?;
            // Progress of single layers comes many times a second; only what is done is worth a line.
            if let Some(status) = piece.status.filter(|_| piece.progress_detail.is_none_or(|p| p.current.is_none())) {
                output.line(&piece.id.map_or_else(|| status.clone(), |id| format!("{id}: {status}"))).await;
            }
        }
        Ok(())
    };
    docker.run("pull the base image", PULL_LIMIT, read).await
}
