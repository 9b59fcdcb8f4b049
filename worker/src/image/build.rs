//! One build, from the context to the tags.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt as _;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    base, context,
    error::BuildError,
    output::{BuildUpdate, Output},
    reference::ImageReference,
    version::OpenclawVersion,
};
use crate::docker::{Docker, DockerError, LABEL_DEPLOYMENT, LABEL_OPENCLAW_VERSION};

/// A release installs in a minute; a slow registry is given thirty times that.
const BUILD_LIMIT: Duration = Duration::from_mins(30);
/// Tagging is a rename in the engine's store.
const TAG_LIMIT: Duration = Duration::from_secs(10);
/// Memory of each build step, in bytes: the most that the library can say (2 GiB less one), and three times what the
/// installer was seen to use.
const BUILD_MEMORY: i32 = i32::MAX;
/// Half the usual weight: running gateways go first.
const BUILD_CPU_SHARES: i32 = 512;

const LABEL_IMAGE: &str = "clawdeploy.image";

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    pub version: OpenclawVersion,
    pub base_image: ImageReference,
    /// Tag that instances are made from. The same repository also gets the version as a tag.
    pub target: ImageReference,
    /// Further build arguments (`http_proxy`, `NPM_CONFIG_REGISTRY`). A value with credentials in it (`user:password@`) is
    /// masked in the output.
    pub extra_args: BTreeMap<String, String>,
    /// Network mode of the build steps; the engine's default where absent.
    pub network: Option<String>,
    /// Take no step from an earlier build: packages of the distribution are fetched anew.
    pub no_cache: bool,
}

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    pub image_id: String,
    pub size_bytes: i64,
}

/// Builds the image and gives it its tags.
///
/// `updates` are sent as the engine tells them; where nobody receives them they are dropped, but a receiver that does
/// not keep up slows the build. Cancelling closes the request, upon which the engine stops the step that runs.
pub async fn build(
    docker: &Docker,
    request: &BuildRequest,
    updates: mpsc::Sender<BuildUpdate>,
    cancel: &CancellationToken,
) -> Result<BuiltImage, BuildError> {
    let work = async {
        let mut output = Output::new(updates, secrets(request));
        base::ensure(docker, &request.base_image, &mut output).await?;
        let image_id = run(docker, request, output).await?;
        checked(docker, request, image_id).await
    };
    let built = tokio::select! {
        () = cancel.cancelled() => return Err(BuildError::Cancelled),
        built = timeout(BUILD_LIMIT, work) => built.unwrap_or(Err(BuildError::TimedOut(BUILD_LIMIT)))?,
    };
    // The version first: whoever sees the tag in use move finds the other one beside it.
    tag(docker, &built.image_id, request.target.repository(), request.version.as_str()).await?;
    tag(docker, &built.image_id, request.target.repository(), request.target.tag()).await?;
    Ok(built)
}

async fn run(docker: &Docker, request: &BuildRequest, mut output: Output) -> Result<String, BuildError> {
    const OPERATION: &str = "build the image";
    let context = context::archive().map_err(BuildError::Context)?;
    let api = docker.api().await?;
    let mut image_id = None;
    let mut pieces = api.build_image(options(docker, request), None, Some(bollard::body_full(context.into())));
    while let Some(piece) = pieces.next().await {
        match piece.map_err(|source| docker.failed(OPERATION, source)) {
            Ok(piece) => {
                image_id = piece.aux.and_then(|aux| aux.id).or(image_id);
                if let Some(text) = piece.stream {
                    output.push(&text).await;
                }
            }
            Err(DockerError::Failed { source, .. }) => {
                let (step, tail) = output.end();
                return Err(BuildError::Step { step, message: message(&source.0), tail });
            }
            Err(error) => return Err(error.into()),
        }
    }
    image_id.ok_or(BuildError::NoImage)
}

fn options(docker: &Docker, request: &BuildRequest) -> BuildImageOptions {
    let mut args: HashMap<String, String> =
        request.extra_args.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    args.insert("BASE_IMAGE".to_owned(), request.base_image.to_string());
    args.insert("OPENCLAW_VERSION".to_owned(), request.version.to_string());
    let labels = HashMap::from([
        (LABEL_IMAGE.to_owned(), "openclaw".to_owned()),
        (LABEL_DEPLOYMENT.to_owned(), docker.deployment().to_owned()),
    ]);
    let mut options = BuildImageOptionsBuilder::default()
        .dockerfile("Dockerfile")
        .buildargs(&args)
        .labels(&labels)
        .nocache(request.no_cache)
        // Containers of steps go in any case, also of the step that failed.
        .rm(true)
        .forcerm(true)
        .memory(BUILD_MEMORY)
        .memswap(BUILD_MEMORY)
        .cpushares(BUILD_CPU_SHARES);
    if let Some(network) = &request.network {
        options = options.networkmode(network);
    }
    options.build()
}

/// The image's size, once it is known to hold the release that was asked for.
async fn checked(docker: &Docker, request: &BuildRequest, image_id: String) -> Result<BuiltImage, BuildError> {
    let image = docker.inspect_image(&image_id).await?.ok_or(BuildError::NoImage)?;
    let mut labels = image.config.and_then(|config| config.labels).unwrap_or_default();
    let found = labels.remove(LABEL_OPENCLAW_VERSION);
    if found.as_deref() != Some(request.version.as_str()) {
        return Err(BuildError::WrongVersion { wanted: request.version.to_string(), found });
    }
    Ok(BuiltImage { image_id: image.id.unwrap_or(image_id), size_bytes: image.size.unwrap_or_default() })
}

async fn tag(docker: &Docker, image_id: &str, repository: &str, tag: &str) -> Result<(), DockerError> {
    let api = docker.api().await?;
    let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
    docker.run("tag the image", TAG_LIMIT, api.tag_image(image_id, Some(options))).await
}

/// Values of extra arguments: a proxy's address may hold a password.
fn secrets(request: &BuildRequest) -> Vec<String> {
    request.extra_args.values().filter(|value| value.contains('@')).cloned().collect()
}

/// What the engine said, without the command, which can be a whole script.
fn message(engine: &str) -> String {
    match engine.rsplit_once("returned a non-zero code: ") {
        Some((command, code)) if command.starts_with("The command '") => format!("the command ended with code {code}"),
        _ => engine.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_told_by_its_code() {
        let engine = "The command '/bin/bash -c a; very; long; script' returned a non-zero code: 137";
        assert_eq!(message(engine), "the command ended with code 137");
        assert_eq!(message("pull access denied for x"), "pull access denied for x");
    }
}
