//! Commands inside a running container, beside its gateway.
//!
//! The engine cannot kill such a command, which would run on forever if its worker is gone. So each is started by
//! `timeout`, which runs in the container and kills it whatever happens to the worker, and by `choom`, so that the
//! kernel kills the command and not the gateway when memory runs out. Both are in Debian's essential packages.

use std::time::Duration;

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecResults},
};
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep};

use super::{
    KILLED,
    client::{Docker, READ_LIMIT},
    error::DockerError,
};

/// Most bytes kept of a command's output. The rest is read and discarded.
pub(super) const OUTPUT_CAP: usize = 1 << 20;
/// Most bytes kept of its standard error.
const COMPLAINT_CAP: usize = 16 * 1024;
/// Time between the first signal and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(3);
/// Time for the engine to start a command and to report its end.
const MARGIN: Duration = Duration::from_secs(10);
/// Delay between two checks whether the engine has recorded the end.
const EXIT_POLL: Duration = Duration::from_millis(20);

/// Exit code of `timeout` after it has killed its command.
const TIMED_OUT: i64 = 124;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exited(i64),
    TimedOut,
    /// Something killed it, nearly always the kernel for lack of memory.
    Killed,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    pub ending: Ending,
    /// At most [`OUTPUT_CAP`] bytes.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Whether output was discarded.
    pub cut: bool,
}

impl Docker {
    /// Runs `command` in a container, as the container's user and without a TTY, and waits for its end. It is killed
    /// after `limit`, rounded up to a second.
    ///
    /// A container that does not exist or run yields an error of the engine's.
    pub async fn exec(&self, container: &str, command: &[&str], limit: Duration) -> Result<Finished, DockerError> {
        const OPERATION: &str = "run a command in the container";
        let api = self.api().await?;
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(guarded(command, limit)),
            ..CreateExecOptions::default()
        };
        let created = self.run(OPERATION, READ_LIMIT, api.create_exec(container, options)).await?;
        let began = Instant::now();
        let run = async {
            let (mut stdout, mut stderr, mut cut) = (Vec::new(), Vec::new(), false);
            if let StartExecResults::Attached { mut output, .. } = api.start_exec(&created.id, None).await? {
                while let Some(piece) = output.next().await {
                    match piece? {
                        LogOutput::StdErr { message } => _ = keep(&mut stderr, &message, COMPLAINT_CAP),
                        LogOutput::StdOut { message }
                        | LogOutput::StdIn { message }
                        | LogOutput::Console { message } => cut |= !keep(&mut stdout, &message, OUTPUT_CAP),
                    }
                }
            }
            // The output ends a moment before the engine has recorded the exit.
            loop {
                let seen = api.inspect_exec(&created.id).await?;
                if let (Some(code), Some(false) | None) = (seen.exit_code, seen.running) {
                    return Ok((code, stdout, stderr, cut));
                }
                sleep(EXIT_POLL).await;
            }
        };
        let (code, stdout, stderr, cut) = self.run(OPERATION, limit + KILL_AFTER + MARGIN, run).await?;
        let ending = match code {
            TIMED_OUT => Ending::TimedOut,
            // It took SIGKILL, or something else killed the command.
            KILLED if began.elapsed() >= limit => Ending::TimedOut,
            KILLED => Ending::Killed,
            code => Ending::Exited(code),
        };
        Ok(Finished { ending, stdout, stderr, cut })
    }
}

/// The command, prefixed by what guards it.
fn guarded(command: &[&str], limit: Duration) -> Vec<String> {
    let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
    let kill_after = format!("--kill-after={}", KILL_AFTER.as_secs());
    let guards = ["choom", "-n", "1000", "--", "timeout", &kill_after, &seconds.max(1).to_string()].map(str::to_owned);
    guards.into_iter().chain(command.iter().map(|&word| word.to_owned())).collect()
}

/// Appends as much as fits. False: not all of it did.
fn keep(kept: &mut Vec<u8>, more: &[u8], cap: usize) -> bool {
    let room = cap.saturating_sub(kept.len());
    kept.extend_from_slice(&more[..more.len().min(room)]);
    more.len() <= room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_never_without_its_guards() {
        let words = guarded(&["openclaw", "devices", "list"], Duration::from_millis(4200));
        assert_eq!(words.join(" "), "choom -n 1000 -- timeout --kill-after=3 5 openclaw devices list");
        assert_eq!(guarded(&["x"], Duration::ZERO)[6], "1", "0 would be no limit at all");
    }

    #[test]
    fn output_is_bounded() {
        let mut kept = Vec::new();
        assert!(keep(&mut kept, b"abc", 4));
        assert!(!keep(&mut kept, b"def", 4));
        assert!(!keep(&mut kept, b"g", 4));
        assert_eq!(kept, b"abcd");
    }
}
