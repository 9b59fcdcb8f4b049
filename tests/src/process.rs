//! A program of this repository as a process, with its log.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Mutex,
    time::Duration,
};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};

use crate::{programs::Program, wait};

/// A started program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    /// Name in messages, such as `worker-2`.
    pub name: String,
    pid: Pid,
    log: PathBuf,
    child: tokio::sync::Mutex<Child>,
    ended: Mutex<Option<ExitStatus>>,
}

impl Process {
    /// Starts `program` with only `env` in its environment. Its output goes to `dir/{name}.log`.
    pub fn start(name: &str, program: Program, arguments: &[&str], env: &[(String, String)], dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        let path = program.path();
        assert!(path.exists(), "{} is missing; run these tests with cargo nextest run", path.display());
        let out = File::options().create(true).append(true).open(&log).expect("a log file");
        let mut command = Command::new(&path);
        command.args(arguments).env_clear().envs(env.iter().cloned()).env("NO_COLOR", "1").current_dir(dir);
        command.stdin(Stdio::null()).stdout(out.try_clone().expect("the log file")).stderr(out).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("a process id");
        Self { name: name.to_owned(), pid, log, child: child.into(), ended: Mutex::new(None) }
    }

    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal if the process still runs.
    pub fn signal(&self, signal: Signal) {
        if self.ended.lock().unwrap().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Kills it, as the kernel does when memory runs out.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        self.ended_within(Duration::from_secs(10)).await;
    }

    /// Sends SIGTERM and waits for the exit.
    pub async fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended_within(Duration::from_secs(40)).await
    }

    /// Exit status, if it has ended.
    pub async fn try_ended(&self) -> Option<ExitStatus> {
        let status = self.child.lock().await.try_wait().expect("the status of a child");
        self.note(status)
    }

    /// Waits until it ends.
    pub async fn ended_within(&self, limit: Duration) -> ExitStatus {
        let mut child = self.child.lock().await;
        let limit = limit * wait::PATIENCE;
        let waited = tokio::time::timeout(limit, child.wait()).await;
        let status = waited.unwrap_or_else(|_| panic!("{} did not end within {limit:?}\n{}", self.name, self.tail(40)));
        self.note(status.ok()).expect("the status of a child")
    }

    fn note(&self, status: Option<ExitStatus>) -> Option<ExitStatus> {
        let mut ended = self.ended.lock().unwrap();
        if status.is_some() {
            *ended = status;
        }
        *ended
    }

    /// Whether this worker, after it was frozen, has given up a job that another one has taken. If it slept in a
    /// transaction, Postgres has closed its connection, and it cannot tell that it lost the lease.
    pub fn gave_up_job(&self) -> bool {
        let log = self.log();
        ["lease_lost", "gave_up"].iter().any(|outcome| log.contains(outcome))
    }

    /// Its whole output.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines of its output, with a heading.
    pub fn tail(&self, lines: usize) -> String {
        let log = self.log();
        let skipped = log.lines().count().saturating_sub(lines);
        let tail: Vec<_> = log.lines().skip(skipped).collect();
        format!("--- {} (process {})\n{}", self.name, self.pid(), tail.join("\n"))
    }
}
