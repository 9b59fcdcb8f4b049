//! The connection: made when first needed, made anew when the engine comes back, every call within a time limit.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bollard::{API_DEFAULT_VERSION, errors::Error as BollardError};
use clawdeploy_shared::metrics::DOCKER_CALL_SECONDS;

use super::error::DockerError;

/// Reading never waits for a container; what takes this long is an engine that hangs.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(10);
/// Creating and removing move files and may queue behind other containers on a loaded disk.
pub(super) const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// A start sets up the network and runs the container's init; about 0.3 s on an idle machine.
pub(super) const START_LIMIT: Duration = Duration::from_mins(1);
/// What the engine may take beyond a container's own grace time: the kill, and the clean-up of its network.
pub(super) const STOP_MARGIN: Duration = Duration::from_secs(15);

/// The client library's own limit, in seconds. Ours are always shorter and end the call; a build is the longest.
const LIBRARY_LIMIT: u64 = 3600;

/// A Docker engine on a unix socket. Cheap to clone; clones share the connection's state.
#[derive(Debug, Clone)]
pub struct Docker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: String,
    deployment: String,
    /// The engine that is ours; every other one is refused. `None`: not known yet.
    expected: RwLock<Option<String>>,
    /// Absent until the first call has succeeded, and again after the engine was gone.
    connection: RwLock<Option<Connection>>,
}

#[derive(Debug, Clone)]
struct Connection {
    api: bollard::Docker,
    engine: Engine,
}

/// What is known of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub version: String,
    /// Version of the API that is spoken with it.
    pub api_version: String,
    /// CPUs that it has, in thousandths: the engine refuses a container that asks for more.
    pub cpu_millis: i32,
    /// Its own id; some engines have none.
    pub id: Option<String>,
}

impl Docker {
    /// An engine at `host` (`unix:///var/run/docker.sock`), and the `deployment` whose containers are ours.
    ///
    /// Nothing is connected yet, so this succeeds while the engine is down. TCP is not offered: an engine that listens
    /// there hands root to whoever connects.
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

    /// The deployment whose label marks what is ours.
    pub fn deployment(&self) -> &str {
        &self.inner.deployment
    }

    /// Asks the engine whether it is there, and connects where that has not been done.
    pub async fn ping(&self) -> Result<Engine, DockerError> {
        let connection = self.connection().await?;
        self.run("answer a ping", READ_LIMIT, connection.api.ping()).await?;
        Ok(connection.engine)
    }

    /// The engine's API, connected.
    pub(crate) async fn api(&self) -> Result<bollard::Docker, DockerError> {
        Ok(self.connection().await?.api)
    }

    /// Path of the engine's socket.
    pub(super) fn socket(&self) -> &str {
        &self.inner.socket
    }

    /// What is known of the engine, connected.
    pub(crate) async fn engine(&self) -> Result<Engine, DockerError> {
        Ok(self.connection().await?.engine)
    }

    /// Awaits one answer of the engine, no longer than `limit`. `operation` completes "the engine did not …".
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

    /// Sorts an error; an engine that is gone may come back as another version, so the connection is forgotten.
    pub(crate) fn failed(&self, operation: &'static str, source: BollardError) -> DockerError {
        let error = DockerError::from_engine(operation, source);
        if error.is_unreachable() {
            *self.inner.connection.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        error
    }

    /// Says which engine is ours: from now on no other one is asked for anything.
    pub fn expect(&self, id: Option<&str>) {
        *self.inner.expected.write().unwrap_or_else(PoisonError::into_inner) = id.map(str::to_owned);
    }

    /// Id of the engine that answers, whether it is ours or not; `None`: it has none. `anew`: ask even where it is known.
    pub async fn engine_id(&self, anew: bool) -> Result<Option<String>, DockerError> {
        let connection = self.any_connection().await?;
        if !anew {
            return Ok(connection.engine.id);
        }
        let id = id_of(self.run("say who it is", READ_LIMIT, connection.api.info()).await?.id);
        if id != connection.engine.id {
            // Another engine has taken the place of the one that was connected to.
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
        // No lock is held meanwhile: callers that meet here each negotiate, and the last one's result stays.
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
