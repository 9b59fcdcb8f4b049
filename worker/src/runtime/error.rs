//! What can go wrong with an engine, sorted by what a caller may do about it.

use super::docker::DockerError;

/// A verb that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(transparent)]
    Docker(#[from] DockerError),
}

impl RuntimeError {
    /// The thing itself is missing, or the image that it should be made from.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_not_found(),
        }
    }

    /// The request contradicts the state of things.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_conflict(),
        }
    }

    /// Our engine is down, going down, or another one has its place: transient, try again later.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_unreachable(),
        }
    }

    /// No answer in time: whether it was done, or still will be, is unknown.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Docker(error) => matches!(error, DockerError::Timeout { .. }),
        }
    }

    /// A stranger's has the name that it should get.
    pub fn is_name_taken(&self) -> bool {
        match self {
            Self::Docker(error) => matches!(error, DockerError::NameTaken { .. }),
        }
    }

    /// The host port is in use by something else.
    pub fn is_port_taken(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_port_taken(),
        }
    }

    /// The subnet overlaps with a network that is not ours.
    pub fn is_subnet_taken(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_subnet_taken(),
        }
    }

    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_disk_full(),
        }
    }

    /// The engine's own words, where it had any.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Docker(error) => error.message(),
        }
    }
}
