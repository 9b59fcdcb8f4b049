//! Errors of builds.

use std::time::Duration;

use crate::runtime::{HostLimit, docker::DockerError};

/// Most lines of a failed step that a message repeats.
const LAST_LINES: usize = 12;

/// A failed build. The image in use stays the same in all cases.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(
        "the base image {base} is not on this engine and could not be pulled; run scripts/build-openclaw-image.sh \
         --source release, which builds one from packages"
    )]
    Base {
        base: String,
        #[source]
        source: DockerError,
    },
    /// The base image cannot run the release.
    #[error(
        "the base image {base} has Node {has}, but OpenClaw {version} needs Node {needs}; get a newer one (docker pull {base}; \
         without a registry, scripts/build-openclaw-image.sh --source release makes one), or name another in \
         CLAWDEPLOY_OPENCLAW_BASE_IMAGE"
    )]
    OldNode { base: String, has: String, needs: String, version: String },
    /// A step of the Dockerfile failed.
    #[error("the image build failed at {step}: {message}")]
    Step {
        /// The step as announced by the engine, `step 8/16 (RUN …)`.
        step: String,
        /// The engine's message.
        message: String,
        /// The last lines of that step's output.
        tail: Vec<String>,
    },
    #[error("the Docker engine aborted the build")]
    Docker(#[from] DockerError),
    #[error("could not create the build context")]
    Context(#[from] std::io::Error),
    #[error("the engine ended the build without an image id")]
    NoImage,
    #[error("the built image holds OpenClaw {} instead of {wanted}", found.as_deref().unwrap_or("without a version"))]
    WrongVersion { wanted: String, found: Option<String> },
    #[error("the build took longer than {} s (CLAWDEPLOY_BUILD_SECONDS)", .0.as_secs())]
    TimedOut(Duration),
    #[error("the build was cancelled")]
    Cancelled,
    /// The source is something that is not built, or contains it.
    #[error("the source is refused: {0}")]
    Refused(String),
    /// The branch, tag, commit or image does not exist.
    #[error("there is no {what} at {place}")]
    NoSuchSource { what: String, place: String },
    /// The repository did not answer, or not as a git server.
    #[error("could not fetch the repository from {place}: {why}")]
    Fetch {
        place: String,
        why: String,
        /// Whether a retry may succeed.
        transient: bool,
    },
    #[error("could not get the image from its registry")]
    Registry(#[source] DockerError),
    #[error("could not process git's data")]
    Git(#[from] git2::Error),
    /// The Dockerfile needs a newer engine.
    #[error(
        "the Dockerfile needs {needs}, but this engine is {engine}; update it, or build another source (release, \
         registry)"
    )]
    BuildKitNeeded { needs: String, engine: String },
    #[error(
        "{path} has {free_mib} MiB free, and a build needs {floor_mib} MiB (CLAWDEPLOY_MIN_DISK_MIB); free some space, then try \
         again"
    )]
    NoRoom { path: String, free_mib: u64, floor_mib: u64 },
    #[error("a part of the build panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

impl BuildError {
    /// Stable code, and whether a retry may succeed.
    pub fn kind(&self) -> (&'static str, bool) {
        match self {
            error if error.host_limit().is_some() => (HostLimit::CODE, false),
            error if error.is_disk_full() => ("disk_full", false),
            Self::Docker(error) | Self::Base { source: error, .. } | Self::Registry(error)
                if error.is_unreachable() =>
            {
                ("docker_unreachable", true)
            }
            Self::Base { .. } => ("base_image_missing", false),
            Self::OldNode { .. } => ("base_image_too_old", false),
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

    /// The limit of the host's kernel that the build ran into.
    pub fn host_limit(&self) -> Option<HostLimit> {
        match self {
            Self::Docker(error) | Self::Base { source: error, .. } | Self::Registry(error) => error.host_limit(),
            Self::Step { message, tail, .. } => {
                std::iter::once(message).chain(tail).find_map(|line| HostLimit::in_message(line))
            }
            _ => None,
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

    /// The last lines of the failed step, for people; empty if none failed.
    pub fn last_lines(&self) -> String {
        match self {
            Self::Step { tail, .. } if !tail.is_empty() => {
                let last = &tail[tail.len().saturating_sub(LAST_LINES)..];
                format!("\nThe last lines of the build:\n{}", last.join("\n"))
            }
            _ => String::new(),
        }
    }
}
