//! Commands in a container with raw streams in both directions.
//!
//! The engine hands over the connection itself (`101 Upgraded`). The client library would parse a TTY's output as
//! frames and trust a length in it: a program that prints eight bytes could exhaust the memory.

use std::time::Duration;

use bollard::{
    errors::Error as BollardError,
    exec::{CreateExecOptions, ResizeExecOptions},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};

use super::{
    client::{Docker, READ_LIMIT},
    error::DockerError,
};

/// `runc` takes some fifty milliseconds; on a loaded machine much longer.
const START_LIMIT: Duration = Duration::from_secs(15);
/// Most bytes read of the engine's reason for a refusal.
const REFUSAL_CAP: usize = 64 << 10;
/// The engine's detach keys cannot be disabled. The default would swallow the first Ctrl-P; with these only Ctrl-^ is
/// delayed until the next key.
const DETACH_KEYS: &str = "ctrl-^,ctrl-@,ctrl-^,ctrl-@";

/// A command with connected streams.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) stream: UnixStream,
    /// What it has printed so far.
    pub(crate) first: Bytes,
}

/// A command that runs in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunningExec {
    /// Its arguments after the first.
    pub(crate) arguments: Vec<String>,
}

impl Docker {
    /// Prepares `command` in a container as the container's user and returns its id. With a `variable` (`NAME=value`)
    /// for its environment it gets a TTY.
    pub(crate) async fn create_exec(
        &self,
        container: &str,
        command: &[&str],
        variable: Option<&str>,
    ) -> Result<String, DockerError> {
        let api = self.api().await?;
        let environment = ["TERM=xterm-256color", "COLORTERM=truecolor", "LANG=C.UTF-8"].into_iter().chain(variable);
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(variable.is_some()),
            detach_keys: Some(DETACH_KEYS.to_owned()),
            env: variable.is_some().then(|| environment.map(str::to_owned).collect()),
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            ..CreateExecOptions::default()
        };
        let created = self.run("prepare a terminal", READ_LIMIT, api.create_exec(container, options)).await?;
        Ok(created.id)
    }

    /// Starts it and takes over its streams.
    pub(crate) async fn attach_exec(&self, exec: &str, tty: bool) -> Result<Attached, DockerError> {
        let version = self.engine().await?.api_version;
        let start = async {
            let socket = UnixStream::connect(self.socket()).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
            tokio::spawn(async move {
                // The owner of the streams sees how it ended.
                let _ = connection.with_upgrades().await;
            });
            let request = Request::post(format!("/v{version}/exec/{exec}/start"))
                .header(header::HOST, "docker")
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONNECTION, "Upgrade")
                .header(header::UPGRADE, "tcp")
                .body(Full::new(Bytes::from(format!("{{\"Detach\":false,\"Tty\":{tty}}}"))))
                .map_err(std::io::Error::other)?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            if status != StatusCode::SWITCHING_PROTOCOLS {
                let body = timeout(READ_LIMIT, Limited::new(answer.into_body(), REFUSAL_CAP).collect()).await;
                let text = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let message = String::from_utf8_lossy(&text).into_owned();
                return Err(BollardError::DockerResponseServerError { status_code: status.as_u16(), message });
            }
            let upgraded = hyper::upgrade::on(answer).await?;
            let parts = upgraded
                .downcast::<TokioIo<UnixStream>>()
                .map_err(|_| std::io::Error::other("not the connection that was opened"))?;
            Ok(Attached { stream: parts.io.into_inner(), first: parts.read_buf })
        };
        self.run("start a terminal", START_LIMIT, start).await
    }

    /// Sets the size of a terminal, in characters.
    pub(crate) async fn resize_exec(&self, exec: &str, cols: u16, rows: u16) -> Result<(), DockerError> {
        let api = self.api().await?;
        let options = ResizeExecOptions { height: rows, width: cols };
        self.run("resize a terminal", READ_LIMIT, api.resize_exec(exec, options)).await
    }

    /// The exit code of a command. `None`: it still runs.
    pub(crate) async fn exec_ended(&self, exec: &str) -> Result<Option<i64>, DockerError> {
        let api = self.api().await?;
        let seen = self.run("look at a terminal", READ_LIMIT, api.inspect_exec(exec)).await?;
        Ok(if seen.running == Some(true) { None } else { seen.exit_code })
    }

    /// Commands that run in a container beside its first process, whoever started them.
    pub(crate) async fn running_execs(&self, container: &str) -> Result<Vec<RunningExec>, DockerError> {
        let Some(found) = self.inspect(container).await? else { return Ok(Vec::new()) };
        let api = self.api().await?;
        let mut running = Vec::new();
        for id in found.exec_ids.unwrap_or_default() {
            // The list may include some that have ended or are no longer known.
            let seen = match self.run("look at a command", READ_LIMIT, api.inspect_exec(&id)).await {
                Ok(seen) => seen,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            if seen.running == Some(true) {
                let arguments = seen.process_config.and_then(|process| process.arguments).unwrap_or_default();
                running.push(RunningExec { arguments });
            }
        }
        Ok(running)
    }
}
