//! Errors of an engine, classified by what a caller can do.

use super::{docker::DockerError, limit::HostLimit};

/// A failed verb.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(transparent)]
    Docker(#[from] DockerError),
}

impl RuntimeError {
    /// The object, or the image for a new one, does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_not_found(),
        }
    }

    /// The request conflicts with the current state.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_conflict(),
        }
    }

    /// Our engine is down, shutting down or replaced by another one. Transient: retry later.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_unreachable(),
        }
    }

    /// No answer in time: whether it was or will be done is unknown.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Docker(error) => matches!(error, DockerError::Timeout { .. }),
        }
    }

    /// Something foreign has the name.
    pub fn is_name_taken(&self) -> bool {
        match self {
            Self::Docker(error) => matches!(error, DockerError::NameTaken { .. }),
        }
    }

    /// Another program uses the host port.
    pub fn is_port_taken(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_port_taken(),
        }
    }

    /// The subnet overlaps with a foreign network.
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

    /// The limit of the host's kernel that the request ran into.
    pub fn host_limit(&self) -> Option<HostLimit> {
        match self {
            Self::Docker(error) => error.host_limit(),
        }
    }

    /// The engine's own message, if any.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Docker(error) => error.message(),
        }
    }
}
