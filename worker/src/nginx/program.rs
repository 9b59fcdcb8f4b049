//! Runs nginx: tests a file, reloads, and asks what it has read.

use std::{io, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use clawdeploy_shared::http::{self, ClientError};
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::config::CommandLine;

/// Time limit of a test or a reload.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// How long nginx may take to start workers with a new map.
pub(super) const TAKE_UP_LIMIT: Duration = Duration::from_secs(5);

/// How long only the new map must have answered. For a tenth of a second, nginx's old workers accept connections beside
/// the new ones.
const STEADY: Duration = Duration::from_millis(150);

/// How much of a command's output is kept.
const WORDS_LIMIT: usize = 600;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("cannot run {program}")]
    Start { program: String, source: io::Error },
    #[error("{program} did not finish within {} s", COMMAND_LIMIT.as_secs())]
    TooSlow { program: String },
    #[error("{program} failed: {words}")]
    Failed { program: String, words: String },
}

async fn run(program: &str, mut command: Command) -> Result<(), CommandError> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let program = program.to_owned();
    match timeout(COMMAND_LIMIT, command.output()).await {
        Err(_) => Err(CommandError::TooSlow { program }),
        Ok(Err(source)) => Err(CommandError::Start { program, source }),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let words = String::from_utf8_lossy(&output.stderr);
            let words: Vec<_> = words.split_whitespace().collect();
            let words: String = words.join(" ").chars().take(WORDS_LIMIT).collect();
            let words = if words.is_empty() { output.status.to_string() } else { words };
            Err(CommandError::Failed { program, words })
        }
    }
}

/// Has nginx test a map in a minimal configuration and a directory of its own. Needs no privileges.
pub async fn try_map(program: &Path, map: &Path) -> Result<(), CommandError> {
    let name = program.display().to_string();
    let failed = |source| CommandError::Start { program: name.clone(), source };
    let dir = tokio::task::spawn_blocking(|| tempfile::Builder::new().prefix("clawdeploy-nginx-").tempdir());
    let dir = dir.await.map_err(|error| failed(error.into()))?.map_err(failed)?;
    let conf = dir.path().join("try.conf");
    tokio::fs::write(&conf, trial(dir.path(), map)).await.map_err(failed)?;
    let mut command = Command::new(program);
    command.arg("-t").arg("-q").arg("-e").arg("stderr").arg("-p").arg(dir.path()).arg("-c").arg(&conf);
    run(&name, command).await
}

/// A configuration with only a map and a use of its variables.
fn trial(dir: &Path, map: &Path) -> String {
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("  {name}_temp_path {name};\n"))
        .concat();
    format!(
        "pid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{temp}  access_log off;\n  include \"{}\";\n  server {{\n    \
         listen \"unix:{}/nginx.sock\";\n    server_name ~^(?<instance_id>.+)$;\n    \
         return 200 $clawdeploy_port$clawdeploy_generation;\n  }}\n}}\n",
        map.display(),
        dir.display(),
    )
}

/// Tells nginx to reload.
pub async fn reload(command: &CommandLine) -> Result<(), CommandError> {
    let (program, arguments) = command.program_and_arguments();
    let mut reload = Command::new(program);
    reload.args(arguments);
    run(program, reload).await
}

/// Where nginx says which map it has read.
#[derive(Debug, Clone)]
pub struct Inquiry {
    http: reqwest::Client,
    url: String,
}

impl Inquiry {
    pub fn new(address: SocketAddr) -> Result<Self, ClientError> {
        let http = http::local()?.timeout(Duration::from_secs(2)).build()?;
        Ok(Self { http, url: format!("http://{address}/__clawdeploy/generation") })
    }

    /// The generation that new connections get. `None`: nginx does not answer or is not ours.
    pub async fn generation(&self) -> Option<i64> {
        let answer = self.http.get(&self.url).send().await.ok()?.error_for_status().ok()?;
        answer.text().await.ok()?.trim().parse().ok()
    }

    /// Waits until every new connection gets this generation or a later one.
    pub async fn has_taken_up(&self, generation: i64) -> bool {
        let began = Instant::now();
        let mut since = None;
        loop {
            if self.generation().await.is_some_and(|now| now >= generation) {
                if since.get_or_insert_with(Instant::now).elapsed() >= STEADY {
                    return true;
                }
            } else {
                since = None;
            }
            if began.elapsed() > TAKE_UP_LIMIT {
                return false;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Number of nginx workers on this machine that only wait for their connections to end, as far as visible.
pub fn old_workers() -> usize {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let titles = numbers.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    titles.filter(|title| title.starts_with(b"nginx: worker process is shutting down")).count()
}
