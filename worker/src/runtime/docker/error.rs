//! Errors of the engine, classified by what a caller can do.

use std::{io, time::Duration};

use bollard::errors::Error as BollardError;

use crate::runtime::limit::HostLimit;

/// The engine's own message about a refused request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EngineMessage(pub String);

/// A failed verb.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    #[error("{0:?} is not a Docker engine address; write it as unix:///var/run/docker.sock")]
    Host(String),
    /// The answering engine is not this installation's, so nothing was asked of it.
    #[error("the Docker engine that answers does not belong to this installation")]
    OtherEngine,
    /// No connection was made, so nothing was done.
    #[error("the Docker engine cannot be reached (to {operation})")]
    Unreachable {
        operation: &'static str,
        #[source]
        source: BollardError,
    },
    /// The connection ended before the answer: whether it was done is unknown.
    #[error("the Docker engine closed the connection before it answered (to {operation})")]
    HungUp {
        operation: &'static str,
        #[source]
        source: BollardError,
    },
    /// No answer in time: whether it was or will be done is unknown.
    #[error("the Docker engine did not {operation} within {} s", .after.as_secs())]
    Timeout { operation: &'static str, after: Duration },
    #[error("the Docker engine refused to {operation} (status {status})")]
    Refused {
        operation: &'static str,
        status: u16,
        #[source]
        source: EngineMessage,
    },
    /// The engine began and then reported a failure in its output (pull and build).
    #[error("the Docker engine failed to {operation}")]
    Failed {
        operation: &'static str,
        #[source]
        source: EngineMessage,
    },
    #[error("the Docker engine's answer could not be parsed (to {operation})")]
    Answer {
        operation: &'static str,
        #[source]
        source: BollardError,
    },
    #[error("the {kind} name {name} is taken by something outside of this deployment")]
    NameTaken { kind: &'static str, name: String },
    /// A running container is attached to a network that has to be recreated.
    #[error("the network {name} has to be recreated, but a running container is attached to it")]
    NetworkBusy { name: String },
}

impl DockerError {
    pub(crate) fn from_engine(operation: &'static str, source: BollardError) -> Self {
        match source {
            BollardError::DockerResponseServerError { status_code, message } => {
                Self::Refused { operation, status: status_code, source: EngineMessage(message) }
            }
            BollardError::DockerStreamError { error } => Self::Failed { operation, source: EngineMessage(error) },
            source if never_connected(&source) => Self::Unreachable { operation, source },
            source if connection_ended(&source) => Self::HungUp { operation, source },
            source => Self::Answer { operation, source },
        }
    }

    /// The object, or the image for a new container, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// The request conflicts with the current state: a name in use, a removal under way.
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Our engine is down, shutting down or replaced by another one. Transient: retry later.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::HungUp { .. } | Self::OtherEngine)
    }

    /// It may or may not have been done: check before acting on it.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::HungUp { .. } | Self::Timeout { .. })
    }

    /// Another program uses the host port.
    pub fn is_port_taken(&self) -> bool {
        self.says(&["port is already allocated", "address already in use"])
    }

    /// The subnet overlaps with a foreign network.
    pub fn is_subnet_taken(&self) -> bool {
        self.says(&["pool overlaps with other one"])
    }

    /// The limit of the host's kernel that the request ran into.
    pub fn host_limit(&self) -> Option<HostLimit> {
        self.message().and_then(HostLimit::in_message)
    }

    /// Not if a limit of the kernel gave the same error.
    pub fn is_disk_full(&self) -> bool {
        self.host_limit().is_none() && self.says(&["no space left on device", "disk quota exceeded"])
    }

    /// The engine's own message, if any.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Refused { source, .. } | Self::Failed { source, .. } => Some(&source.0),
            _ => None,
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The engine has no codes for these, only messages, whose case differs between versions.
    pub(super) fn says(&self, any: &[&str]) -> bool {
        self.message().is_some_and(|message| {
            let message = message.to_ascii_lowercase();
            any.iter().any(|words| message.contains(words))
        })
    }
}

fn never_connected(error: &BollardError) -> bool {
    match error {
        BollardError::SocketNotFoundError(_) => true,
        BollardError::HyperLegacyError { err } => err.is_connect(),
        BollardError::IOError { err } => {
            matches!(
                err.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::PermissionDenied
            )
        }
        _ => false,
    }
}

fn connection_ended(error: &BollardError) -> bool {
    match error {
        BollardError::HyperLegacyError { .. }
        | BollardError::HyperResponseError { .. }
        | BollardError::RequestTimeoutError
        | BollardError::IOError { .. } => true,
        // Half an answer is invalid JSON.
        BollardError::JsonSerdeError { err } => err.is_eof() || err.is_io(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn refused(status_code: u16, message: &str) -> DockerError {
        let source = BollardError::DockerResponseServerError { status_code, message: message.to_owned() };
        DockerError::from_engine("start the container", source)
    }

    #[test]
    fn errors_are_sorted_by_what_the_engine_says() {
        let allocated = "driver failed programming external connectivity on endpoint claw-a: \
                         Bind for 127.0.0.1:10000 failed: port is already allocated";
        assert!(refused(500, allocated).is_port_taken());
        assert!(refused(500, "listen tcp4 127.0.0.1:10000: bind: address already in use").is_port_taken());
        assert!(refused(500, "write /var/lib/docker/x: no space left on device").is_disk_full());
        let keys =
            refused(500, "OCI runtime create failed: unable to create session key: disk quota exceeded: unknown");
        assert_eq!((keys.host_limit(), keys.is_disk_full()), (Some(HostLimit::Keys), false));
        assert!(refused(403, "Pool overlaps with other one on this address space").is_subnet_taken());
        assert!(refused(404, "No such container: x").is_not_found());
        assert!(refused(409, "Conflict. The container name is in use").is_conflict());
        assert!(!refused(500, "no such thing").is_port_taken());
    }

    #[test]
    fn a_missing_socket_is_an_engine_that_is_down() {
        let error = DockerError::from_engine("list", BollardError::SocketNotFoundError("/nowhere".to_owned()));
        assert!(error.is_unreachable());
        assert!(!error.is_ambiguous());
    }

    #[test]
    fn what_is_shown_leaves_the_cause_to_the_chain() {
        let error = refused(500, "boom");
        assert_eq!(error.to_string(), "the Docker engine refused to start the container (status 500)");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("boom"));
    }
}
