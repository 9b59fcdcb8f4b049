//! Why there is no new image.

use std::time::Duration;

use crate::docker::DockerError;

/// A build that did not come to its end. The image in use is untouched by all of these.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(
        "the base image {base} is not on this engine and could not be pulled; \
         run scripts/build-openclaw-image.sh, which makes one from packages"
    )]
    Base {
        base: String,
        #[source]
        source: DockerError,
    },
    /// A step of the Dockerfile failed.
    #[error("the image could not be built at {step}: {message}")]
    Step {
        /// The step as the engine announced it, `step 8/16 (RUN …)`.
        step: String,
        /// What the engine said.
        message: String,
        /// The last lines of that step's output.
        tail: Vec<String>,
    },
    #[error("the Docker engine did not see the build through")]
    Docker(#[from] DockerError),
    #[error("the build context could not be made")]
    Context(#[source] std::io::Error),
    #[error("the engine ended the build without naming an image")]
    NoImage,
    #[error("the image that was built holds OpenClaw {} instead of {wanted}", found.as_deref().unwrap_or("without a version"))]
    WrongVersion { wanted: String, found: Option<String> },
    #[error("the image was not built within {} minutes", .0.as_secs() / 60)]
    TimedOut(Duration),
    #[error("the build was cancelled")]
    Cancelled,
}

impl BuildError {
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// The engine is down or went down: transient.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Docker(error) | Self::Base { source: error, .. } if error.is_unreachable())
    }

    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Docker(error) | Self::Base { source: error, .. } => error.is_disk_full(),
            Self::Step { message, tail, .. } => std::iter::once(message)
                .chain(tail)
                .any(|line| line.to_ascii_lowercase().contains("no space left on device") || line.contains("ENOSPC")),
            _ => false,
        }
    }

    /// The last lines of the step that failed, where one did.
    pub fn tail(&self) -> &[String] {
        match self {
            Self::Step { tail, .. } => tail,
            _ => &[],
        }
    }
}
