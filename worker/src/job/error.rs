//! Why a step failed, and what that means for its job.

use clawdeploy_shared::db::{DbError, lease::LeaseError};

use crate::{
    runtime::{HostLimit, RuntimeError},
    storage::StorageError,
};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failure, described for people and for programs.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Stable code, `snake_case`.
    pub code: &'static str,
    /// What happened and what to do.
    pub message: String,
    #[source]
    pub source: Option<Source>,
}

/// How a step ended if it did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// May pass: the job is retried, with a delay and a limit.
    #[error("{0}")]
    Transient(Failure),
    /// Will not pass by itself: the job fails now.
    #[error("{0}")]
    Permanent(Failure),
    /// The job's goal is already met: the remaining steps are not needed.
    #[error("{0}")]
    Satisfied(String),
    /// Another worker may have the job: stop and touch nothing.
    #[error("the lease on the job was lost")]
    LeaseLost,
    /// The job was asked to end, and the step reached a safe point.
    #[error("cancelled")]
    Cancelled,
    /// The worker drains or stands by, and the step reached a safe point.
    #[error("the worker is draining or standing by")]
    Draining,
}

impl StepError {
    pub fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        Self::Permanent(Failure { code, message: message.into(), source: None })
    }

    /// Whether the engine, the database or the disk could not be reached, which tells nothing about the step.
    pub fn is_unreachable(&self) -> bool {
        let (Self::Transient(failure) | Self::Permanent(failure)) = self else { return false };
        let Some(source) = &failure.source else { return false };
        source.downcast_ref::<RuntimeError>().is_some_and(RuntimeError::is_unreachable)
            || source.downcast_ref::<DbError>().is_some_and(DbError::is_transient)
            || source.downcast_ref::<StorageError>().is_some_and(StorageError::is_unreachable)
    }

    /// Whether the engine did not answer in time.
    pub fn is_runtime_timeout(&self) -> bool {
        self.runtime().is_some_and(RuntimeError::is_timeout)
    }

    /// Whether another program has the host port of the container.
    pub fn is_port_taken(&self) -> bool {
        self.runtime().is_some_and(RuntimeError::is_port_taken)
    }

    /// Whether the engine caused the error.
    pub fn is_of_runtime(&self) -> bool {
        self.runtime().is_some()
    }

    /// The engine's error, if that is the source.
    fn runtime(&self) -> Option<&RuntimeError> {
        let (Self::Transient(failure) | Self::Permanent(failure)) = self else { return None };
        failure.source.as_ref()?.downcast_ref()
    }

    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self::Transient(Failure { code, message: message.into(), source: None })
    }
}

impl From<DbError> for StepError {
    fn from(error: DbError) -> Self {
        let failure = Failure {
            code: "database_failed",
            message: "A database query failed during the job.".into(),
            source: Some(error.into()),
        };
        Self::Transient(failure)
    }
}

impl From<LeaseError> for StepError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::LeaseLost,
            LeaseError::Db(error) => error.into(),
        }
    }
}

impl From<diesel::result::Error> for StepError {
    fn from(error: diesel::result::Error) -> Self {
        DbError::from(error).into()
    }
}

impl From<clawdeploy_shared::secret::SecretError> for StepError {
    fn from(error: clawdeploy_shared::secret::SecretError) -> Self {
        Self::Permanent(Failure {
            code: "secret_unreadable",
            message:
                "A secret of the instance cannot be decrypted: it was sealed with a key that is not in the worker's \
                 key file. An administrator must give the API and the workers the same keys."
                    .into(),
            source: Some(error.into()),
        })
    }
}

const DISK_FULL: &str = "The server's disk is full. An administrator must free space; then retry the job.";

impl From<clawdeploy_shared::db::instance::UnknownSetting> for StepError {
    fn from(error: clawdeploy_shared::db::instance::UnknownSetting) -> Self {
        Self::Permanent(Failure {
            code: "unknown_setting",
            message: "The instance has a setting that this version of the worker does not know. An administrator \
                      must update the workers; then retry the job."
                .into(),
            source: Some(error.into()),
        })
    }
}

impl From<StorageError> for StepError {
    fn from(error: StorageError) -> Self {
        if error.is_disk_full() {
            Self::Permanent(Failure { code: "disk_full", message: DISK_FULL.into(), source: Some(error.into()) })
        } else {
            let message = format!("A file operation on the instance failed: {error}.");
            Self::Transient(Failure { code: "storage_failed", message, source: Some(error.into()) })
        }
    }
}

impl From<RuntimeError> for StepError {
    fn from(error: RuntimeError) -> Self {
        let (permanent, code, message) = if error.is_unreachable() {
            (false, "docker_unreachable", "The worker cannot reach its Docker engine.".to_owned())
        } else if let Some(limit) = error.host_limit() {
            (true, HostLimit::CODE, limit.explain())
        } else if error.is_disk_full() {
            (true, "disk_full", DISK_FULL.to_owned())
        } else if error.is_name_taken() {
            let message = format!("{error}. An administrator must remove or rename it; then retry the job.");
            (true, "container_name_taken", message)
        } else if error.is_port_taken() {
            (false, "port_taken", "Another program on the server uses the port; trying another port.".to_owned())
        } else if error.is_subnet_taken() {
            let message = "A network on the server overlaps with the instance's; trying another one. If this goes \
                           on, an administrator must give the workers a free CLAWDEPLOY_NETWORK_POOL.";
            (false, "network_taken", message.to_owned())
        } else {
            let words = error.message().unwrap_or("no details");
            (false, "docker_failed", format!("{error}: {words}."))
        };
        let failure = Failure { code, message, source: Some(error.into()) };
        if permanent { Self::Permanent(failure) } else { Self::Transient(failure) }
    }
}

#[cfg(test)]
mod tests {
    use bollard::errors::Error as BollardError;

    use super::*;
    use crate::runtime::docker::DockerError;

    fn failure(message: &str) -> Failure {
        let source = BollardError::DockerResponseServerError { status_code: 500, message: message.to_owned() };
        match StepError::from(RuntimeError::from(DockerError::from_engine("start the container", source))) {
            StepError::Permanent(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_used_up_quota_of_keys_is_not_a_full_disk() {
        let keys = failure(
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container \
             process: error during container init: unable to join session keyring: unable to create session key: disk \
             quota exceeded",
        );
        assert_eq!(keys.code, "host_limit_reached");
        assert!(keys.message.contains("kernel.keys.maxkeys=20000"), "{}", keys.message);
        assert_eq!(failure("write /var/lib/docker/x: disk quota exceeded").code, "disk_full");
    }
}
