//! Why there is no new image.

use std::time::Duration;

use crate::runtime::docker::DockerError;

/// A build that did not come to its end. The image in use is untouched by all of these.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(
        "the base image {base} is not on this engine and could not be pulled; \
         run scripts/build-openclaw-image.sh --source release, which makes one from packages"
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
    Context(#[from] std::io::Error),
    #[error("the engine ended the build without naming an image")]
    NoImage,
    #[error("the image that was built holds OpenClaw {} instead of {wanted}", found.as_deref().unwrap_or("without a version"))]
    WrongVersion { wanted: String, found: Option<String> },
    #[error("the image was not built within {} s (CLAWDEPLOY_BUILD_SECONDS)", .0.as_secs())]
    TimedOut(Duration),
    #[error("the build was cancelled")]
    Cancelled,
    /// The source holds, or is, what is not built.
    #[error("the source is refused: {0}")]
    Refused(String),
    /// There is no such branch, tag, commit or image.
    #[error("there is no {what} at {place}")]
    NoSuchSource { what: String, place: String },
    /// The repository does not answer, or not as one.
    #[error("the repository cannot be fetched from {place}: {why}")]
    Fetch {
        place: String,
        why: String,
        /// It may be otherwise in a while.
        transient: bool,
    },
    #[error("the image cannot be had from its registry")]
    Registry(#[source] DockerError),
    #[error("git's own data could not be worked on")]
    Git(#[from] git2::Error),
    /// The Dockerfile uses what this engine cannot do.
    #[error(
        "the Dockerfile needs {needs}, and this engine is {engine}; update it, or build another source (release, registry)"
    )]
    BuildKitNeeded { needs: String, engine: String },
    #[error(
        "{path} has {free_mib} MiB free, and a build needs {floor_mib} MiB (CLAWDEPLOY_MIN_DISK_MIB); free some space, then try \
         again"
    )]
    NoRoom { path: String, free_mib: u64, floor_mib: u64 },
    #[error("a part of the build met a bug")]
    Panicked(#[source] tokio::task::JoinError),
}

impl BuildError {
    /// Stable code, and whether another try may end otherwise.
    pub fn kind(&self) -> (&'static str, bool) {
        match self {
            error if error.is_disk_full() => ("disk_full", false),
            Self::Docker(error) | Self::Base { source: error, .. } | Self::Registry(error)
                if error.is_unreachable() =>
            {
                ("docker_unreachable", true)
            }
            Self::Base { .. } => ("base_image_missing", false),
            Self::TimedOut(_) => ("build_timed_out", false),
            Self::Refused(_) => ("source_refused", false),
            Self::NoSuchSource { .. } => ("source_missing", false),
            Self::Fetch { transient, .. } => ("source_unreachable", *transient),
            Self::Registry(_) => ("source_unreachable", true),
            Self::BuildKitNeeded { .. } => ("buildkit_needed", false),
            Self::WrongVersion { .. } => ("wrong_version", false),
            _ => ("build_failed", true),
        }
    }

    fn is_disk_full(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Docker(error) | Self::Base { source: error, .. } | Self::Registry(error) => error.is_disk_full(),
            Self::Context(error) => error.kind() == std::io::ErrorKind::StorageFull,
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
