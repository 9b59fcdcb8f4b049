//! Ends everything of a terminal with it, even if the worker is killed.
//!
//! The engine cannot kill a command, and one with a TTY does not notice that its client is gone. A command without one
//! does: its input ends. So each container with terminals runs one such command, the supervisor. It knows the session of
//! each terminal and ends it when told to, or when its own input ends because the worker was killed. It runs as the
//! container's user, which suffices to signal that user's processes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use clawdeploy_shared::ids::TerminalId;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::Mutex,
    time::timeout,
};

use super::shell::VARIABLE;
use crate::runtime::{Reference, Runtime, RuntimeError};

const SCRIPT: &str = include_str!("supervisor.sh");
/// Its process name.
const NAME: &str = "clawdeploy-supervisor";
/// Time limit of a write. It reads each line at once.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// How long finding and ending a lost worker's terminals may take.
const STRANGERS_LIMIT: Duration = Duration::from_secs(5);

/// The supervisors of all containers with terminals of this worker.
#[derive(Debug, Clone)]
pub(super) struct Supervisors {
    runtime: Runtime,
    containers: Arc<StdMutex<HashMap<Reference, Arc<Mutex<Supervisor>>>>>,
}

#[derive(Debug, Default)]
struct Supervisor {
    input: Option<UnixStream>,
    /// Number of terminals that need it.
    users: usize,
    /// Sessions that it knows.
    sessions: Vec<u32>,
}

impl Supervisors {
    pub(super) fn new(runtime: Runtime) -> Self {
        Self { runtime, containers: Arc::default() }
    }

    /// Ensures a supervisor before a terminal begins in `container`. Each call needs a matching `leave`.
    pub(super) async fn enter(&self, container: &Reference) -> Result<(), RuntimeError> {
        let supervisor = self.of(container);
        let mut supervisor = supervisor.lock().await;
        supervisor.users += 1;
        if supervisor.input.is_some() {
            return Ok(());
        }
        let started = self.start(container).await;
        if started.is_err() {
            supervisor.users -= 1;
        }
        supervisor.input = Some(started?);
        Ok(())
    }

    /// Registers the session of a terminal.
    pub(super) async fn watch(&self, container: &Reference, session: u32) {
        let supervisor = self.of(container);
        let mut supervisor = supervisor.lock().await;
        supervisor.sessions.push(session);
        self.tell(container, &mut supervisor, &format!("+{session}\n")).await;
    }

    /// Ends a session, if registered, and the supervisor with the last terminal.
    pub(super) async fn leave(&self, container: &Reference, session: Option<u32>) {
        let supervisor = self.of(container);
        let mut supervisor = supervisor.lock().await;
        if let Some(session) = session {
            supervisor.sessions.retain(|known| *known != session);
            self.tell(container, &mut supervisor, &format!("-{session}\n")).await;
        }
        supervisor.users = supervisor.users.saturating_sub(1);
        if supervisor.users == 0 {
            // Closing its input makes it end what is left and exit.
            supervisor.input = None;
            let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
            containers.remove(container);
        }
    }

    /// Ends terminals of a lost worker, of which only the ids are known.
    pub(super) async fn end_strangers(
        &self,
        container: &Reference,
        terminals: &[TerminalId],
    ) -> Result<(), RuntimeError> {
        let mut input = self.start(container).await?;
        let lines = lines(terminals.iter().map(|id| format!("?{VARIABLE}={id}")));
        let _ = timeout(WRITE_LIMIT, input.write_all(lines.as_bytes())).await;
        // It exits after reading them, because its input ends here.
        let _ = timeout(WRITE_LIMIT, input.shutdown()).await;
        let _ = timeout(STRANGERS_LIMIT, input.read_to_end(&mut Vec::new())).await;
        Ok(())
    }

    fn of(&self, container: &Reference) -> Arc<Mutex<Supervisor>> {
        let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(containers.entry(container.clone()).or_default())
    }

    async fn start(&self, container: &Reference) -> Result<UnixStream, RuntimeError> {
        let exec = self.runtime.create_exec(container, &["/bin/sh", "-c", SCRIPT, NAME], None).await?;
        Ok(self.runtime.attach_exec(&exec, false).await?.stream)
    }

    /// Writes a line to the supervisor, or to a new one if it was killed.
    async fn tell(&self, container: &Reference, supervisor: &mut Supervisor, line: &str) {
        let told = match &mut supervisor.input {
            Some(input) => {
                timeout(WRITE_LIMIT, input.write_all(line.as_bytes())).await.is_ok_and(|wrote| wrote.is_ok())
            }
            None => false,
        };
        if told {
            return;
        }
        supervisor.input = None;
        // An exited container has nothing left to end.
        let Ok(mut input) = self.start(container).await else { return };
        let known = lines(supervisor.sessions.iter().map(|session| format!("+{session}")));
        let lines = if line.starts_with('-') { known + line } else { known };
        if timeout(WRITE_LIMIT, input.write_all(lines.as_bytes())).await.is_ok_and(|wrote| wrote.is_ok()) {
            supervisor.input = Some(input);
        }
    }
}

fn lines(all: impl Iterator<Item = String>) -> String {
    all.flat_map(|line| [line, "\n".to_owned()]).collect()
}
