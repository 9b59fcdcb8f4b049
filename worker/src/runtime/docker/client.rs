//! The connection: made when first needed, made again when the engine comes back, with a time limit for every call.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bollard::{API_DEFAULT_VERSION, errors::Error as BollardError};
use clawdeploy_shared::metrics::DOCKER_CALL_SECONDS;

use super::error::DockerError;

/// Reads never wait for a container, so one that takes this long means that the engine hangs.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(10);
/// Creating and removing move files and may queue behind other containers on a busy disk.
pub(super) const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// A start sets up the network and runs the container's init. It takes about 0.3 s on an idle machine.
pub(super) const START_LIMIT: Duration = Duration::from_mins(1);
/// The engine's time beyond a container's grace period: the kill and the clean-up of its network.
pub(super) const STOP_MARGIN: Duration = Duration::from_secs(15);

/// The client library's own limit, in seconds. Ours are always shorter; the longest is that of a build.
const LIBRARY_LIMIT: u64 = 3600;

/// A Docker engine on a Unix socket. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Docker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: String,
    deployment: String,
    /// The id of our engine. Any other engine is refused. `None`: not known yet.
    expected: RwLock<Option<String>>,
    /// `None` until the first call has succeeded, and after the engine was lost.
    connection: RwLock<Option<Connection>>,
}

#[derive(Debug, Clone)]
struct Connection {
    api: bollard::Docker,
    engine: Engine,
}

/// Properties of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub version: String,
    /// Negotiated API version.
    pub api_version: String,
    /// CPU of the engine, in thousandths of a core. It refuses a container that asks for more.
    pub cpu_millis: i32,
    /// Memory of its host, in bytes. `None`: it does not say.
    pub memory_bytes: Option<u64>,
    /// Its id. Some engines have none.
    pub id: Option<String>,
}

impl Docker {
    /// Creates a client for the engine at `host` (`unix:///var/run/docker.sock`). `deployment` marks our containers.
    ///
    /// Does not connect, so it succeeds while the engine is down. TCP is not supported: an engine that listens there
    /// gives root to whoever connects.
    pub fn connect(host: &str, deployment: &str) -> Result<Self, DockerError> {
        let socket = host.strip_prefix("unix://").unwrap_or(host);
        if !Path::new(socket).is_absolute() {
            return Err(DockerError::Host(host.to_owned()));
        }
        let inner = Inner {
            socket: socket.to_owned(),
            deployment: deployment.to_owned(),
            expected: RwLock::new(None),
            connection: RwLock::new(None),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The deployment in the label of everything that is ours.
    pub fn deployment(&self) -> &str {
        &self.inner.deployment
    }

    /// Checks that the engine answers, connecting if needed.
    pub async fn ping(&self) -> Result<Engine, DockerError> {
        let connection = self.connection().await?;
        self.run("answer a ping", READ_LIMIT, connection.api.ping()).await?;
        Ok(connection.engine)
    }

    /// The engine's API, connecting if needed.
    pub(crate) async fn api(&self) -> Result<bollard::Docker, DockerError> {
        Ok(self.connection().await?.api)
    }

    /// As [`Self::api`], also of an engine that is not ours.
    pub(super) async fn any_api(&self) -> Result<bollard::Docker, DockerError> {
        Ok(self.any_connection().await?.api)
    }

    /// Path of the engine's socket.
    pub(super) fn socket(&self) -> &str {
        &self.inner.socket
    }

    /// The engine's properties, connecting if needed.
    pub(crate) async fn engine(&self) -> Result<Engine, DockerError> {
        Ok(self.connection().await?.engine)
    }

    /// Awaits a call to the engine for at most `limit`. `operation` completes "the engine did not …".
    pub(crate) async fn run<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        answer: impl Future<Output = Result<T, BollardError>>,
    ) -> Result<T, DockerError> {
        let began = Instant::now();
        let result = match tokio::time::timeout(limit, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(self.failed(operation, source)),
            Err(_) => Err(DockerError::Timeout { operation, after: limit }),
        };
        let outcome = if result.is_ok() { "ok" } else { "error" };
        metrics::histogram!(DOCKER_CALL_SECONDS, "operation" => operation, "result" => outcome).record(began.elapsed());
        result
    }

    /// Classifies an error. The connection is dropped if the engine is gone, because it may come back as another
    /// version.
    pub(crate) fn failed(&self, operation: &'static str, source: BollardError) -> DockerError {
        let error = DockerError::from_engine(operation, source);
        if error.is_unreachable() {
            *self.inner.connection.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        error
    }

    /// Sets the id of our engine. From now on any other one is refused.
    pub fn expect(&self, id: Option<&str>) {
        *self.inner.expected.write().unwrap_or_else(PoisonError::into_inner) = id.map(str::to_owned);
    }

    /// Id of the engine that answers, ours or not. `None`: it has none. With `refresh` it is asked for again.
    pub async fn engine_id(&self, refresh: bool) -> Result<Option<String>, DockerError> {
        let connection = self.any_connection().await?;
        if !refresh {
            return Ok(connection.engine.id);
        }
        let id = id_of(self.run("say who it is", READ_LIMIT, connection.api.info()).await?.id);
        if id != connection.engine.id {
            // Another engine has replaced the connected one.
            *self.inner.connection.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(id)
    }

    async fn connection(&self) -> Result<Connection, DockerError> {
        let connection = self.any_connection().await?;
        let expected = self.inner.expected.read().unwrap_or_else(PoisonError::into_inner);
        match (&*expected, &connection.engine.id) {
            (Some(expected), Some(id)) if expected != id => Err(DockerError::OtherEngine),
            _ => Ok(connection),
        }
    }

    async fn any_connection(&self) -> Result<Connection, DockerError> {
        if let Some(connection) = &*self.inner.connection.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(connection.clone());
        }
        // No lock is held: concurrent callers each negotiate, and the last result stays.
        let connection = self.run("agree on an API version", READ_LIMIT, negotiate(&self.inner.socket)).await?;
        *self.inner.connection.write().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        Ok(connection)
    }
}

async fn negotiate(socket: &str) -> Result<Connection, BollardError> {
    let api = bollard::Docker::connect_with_unix(socket, LIBRARY_LIMIT, API_DEFAULT_VERSION)?;
    let api = api.negotiate_version().await?;
    let info = api.info().await?;
    let engine = Engine {
        version: info.server_version.unwrap_or_default(),
        api_version: api.client_version().to_string(),
        cpu_millis: info.ncpu.and_then(|n| i32::try_from(n).ok()).unwrap_or(1).saturating_mul(1000),
        memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0),
        id: id_of(info.id),
    };
    Ok(Connection { api, engine })
}

fn id_of(id: Option<String>) -> Option<String> {
    id.filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_are_engines() {
        assert!(Docker::connect("unix:///var/run/docker.sock", "d").is_ok());
        assert!(Docker::connect("/var/run/docker.sock", "d").is_ok());
        for bad in ["", "tcp://127.0.0.1:2375", "docker.sock", "unix://docker.sock"] {
            assert!(matches!(Docker::connect(bad, "d"), Err(DockerError::Host(_))), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_down_is_an_error_of_the_call() {
        let docker = Docker::connect("unix:///nonexistent/docker.sock", "d").unwrap();
        assert!(docker.ping().await.unwrap_err().is_unreachable());
    }
}
