//! The program in a terminal: a shell in the container, or one of a few commands.
//!
//! `/bin/sh` starts it: it reports its process id, sets the size (the engine could only do that later, too late for a
//! program started at once), makes the kernel prefer it over the gateway when memory runs out, and replaces itself by
//! the program. Its arguments hold nothing that anybody typed.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use clawdeploy_shared::{
    ids::TerminalId,
    rpc::terminal::{OpenArguments, Size, TerminalCommand},
};
use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::supervisor::Supervisors;
use crate::runtime::{GatewayStatus, KILLED, Reference, Runtime, RuntimeError};

const SCRIPT: &str = r#"printf '\033]7700;%s\007' "$$"
stty cols "$1" rows "$2" 2>/dev/null
shift 2
{ echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null
[ $# -gt 0 ] && exec "$@"
cd 2>/dev/null
command -v bash >/dev/null 2>&1 && exec bash
exec sh"#;
/// Prefix of the process id in its output.
const SAYS_PID: &[u8] = b"\x1b]7700;";
/// Terminator of the process id.
const BELL: u8 = 7;
/// Time limit for reporting its process id. Normally it takes milliseconds, but a container at its limits may take
/// longer.
const FIRST_WORDS: Duration = Duration::from_secs(5);
/// Most bytes before the process id: the engine's error message, if there is no shell.
const FIRST_CAP: usize = 4096;
/// How long the engine may take to record a program's exit.
const EXIT_LIMIT: Duration = Duration::from_secs(2);
const EXIT_POLL: Duration = Duration::from_millis(20);

/// Argument that marks a terminal's first process, so that other workers recognize it.
pub(super) const MARK: &str = "clawdeploy-terminal:";
/// Environment variable that marks its processes inside the container.
pub(super) const VARIABLE: &str = "CLAWDEPLOY_TERMINAL";

/// Why a terminal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("a call to Docker failed")]
    Runtime(#[from] RuntimeError),
    #[error("the container has no shell, or did not start it in time")]
    NoShell,
    #[error("this worker has reached its limit of terminals")]
    Full,
}

/// A program that has begun.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) shell: Shell,
    pub(super) stream: UnixStream,
    /// What it has printed so far.
    pub(super) first: Bytes,
}

#[derive(Debug)]
pub(super) struct Shell {
    runtime: Runtime,
    exec: String,
    container: Reference,
    size: watch::Sender<Size>,
}

impl Shell {
    /// Starts the program, with a supervisor that knows its session. The process id is for the supervisor.
    pub(super) async fn open(
        runtime: &Runtime,
        supervisors: &Supervisors,
        container: &Reference,
        arguments: OpenArguments,
    ) -> Result<(Opened, u32), OpenError> {
        let OpenArguments { terminal_id, size, command } = arguments;
        let size = size.clamped();
        let mark = format!("{MARK}{terminal_id}");
        let (cols, rows) = (size.cols.to_string(), size.rows.to_string());
        let mut words = vec!["/bin/sh", "-c", SCRIPT, &mark, &cols, &rows];
        words.extend(program(command));
        let variable = format!("{VARIABLE}={terminal_id}");
        let exec = runtime.create_exec(container, &words, Some(&variable)).await?;
        let attached = runtime.attach_exec(&exec, true).await?;
        let mut stream = attached.stream;
        let said = timeout(FIRST_WORDS, first_words(&mut stream, attached.first));
        let Ok(Ok(Some((pid, first)))) = said.await else {
            // Whatever it is, it must not stay there.
            let _ = supervisors.end_strangers(container, &[terminal_id]).await;
            return Err(OpenError::NoShell);
        };
        supervisors.watch(container, pid).await;
        let (size, resized) = watch::channel(size);
        tokio::spawn(resize(runtime.clone(), exec.clone(), resized));
        let shell = Self { runtime: runtime.clone(), exec, container: container.clone(), size };
        Ok((Opened { shell, stream, first }, pid))
    }

    /// Sets the window's size. Of several in a short time the last one counts.
    pub(super) fn resize(&self, size: Size) {
        self.size.send_if_modified(|now| std::mem::replace(now, size) != size);
    }

    /// The program's exit code, once its streams have ended.
    pub(super) async fn exit_code(&self) -> Option<i64> {
        let began = Instant::now();
        while began.elapsed() < EXIT_LIMIT {
            match timeout(EXIT_LIMIT, self.runtime.exec_ended(&self.exec)).await {
                Ok(Ok(Some(code))) => return Some(code),
                Ok(Ok(None)) => sleep(EXIT_POLL).await,
                _ => return None,
            }
        }
        None
    }

    /// Whether the container still runs after its terminal's program exited with this code.
    pub(super) async fn container_runs(&self, exit_code: Option<i64>) -> bool {
        // The program is killed with its container before the engine reports that.
        let began = Instant::now();
        while self.runs().await {
            if !matches!(exit_code, None | Some(KILLED)) || began.elapsed() >= EXIT_LIMIT {
                return true;
            }
            sleep(EXIT_POLL).await;
        }
        false
    }

    async fn runs(&self) -> bool {
        match timeout(EXIT_LIMIT, self.runtime.state(&self.container)).await {
            Ok(Ok(state)) => state.is_some_and(|state| state.status == GatewayStatus::Running),
            // If it is not known, assume that the container runs.
            _ => true,
        }
    }
}

async fn resize(runtime: Runtime, exec: String, mut size: watch::Receiver<Size>) {
    while size.changed().await.is_ok() {
        let Size { cols, rows } = *size.borrow_and_update();
        if let Err(error) = runtime.resize_exec(&exec, cols, rows).await {
            tracing::debug!(error = clawdeploy_shared::telemetry::chain(&error), "Could not resize a terminal");
        }
    }
}

/// The command line of a program. None: a shell.
fn program(command: Option<TerminalCommand>) -> &'static [&'static str] {
    match command {
        None => &[],
        Some(TerminalCommand::Configure) => &["openclaw", "configure"],
        Some(TerminalCommand::Onboard) => &["openclaw", "onboard"],
        Some(TerminalCommand::Doctor) => &["openclaw", "doctor"],
        Some(TerminalCommand::AddChannel) => &["openclaw", "channels", "add"],
    }
}

/// Parses the process id that it prints first, and returns what follows. `None`: it printed something else.
async fn first_words(stream: &mut UnixStream, first: Bytes) -> std::io::Result<Option<(u32, Bytes)>> {
    let mut said = BytesMut::from(&first[..]);
    loop {
        if let Some(end) = said.iter().position(|&byte| byte == BELL) {
            let pid =
                said[..end].strip_prefix(SAYS_PID).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            said.advance(end + 1);
            return Ok(pid.map(|pid| (pid, said.freeze())));
        }
        if said.len() > FIRST_CAP || stream.read_buf(&mut said).await? == 0 {
            return Ok(None);
        }
    }
}

/// The terminal whose first process has these arguments.
pub(super) fn marked(arguments: &[String]) -> Option<TerminalId> {
    arguments.iter().find_map(|word| word.strip_prefix(MARK)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn said(pieces: &[&[u8]]) -> Option<(u32, Bytes)> {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        for piece in pieces {
            theirs.write_all(piece).await.unwrap();
        }
        drop(theirs);
        first_words(&mut ours, Bytes::new()).await.unwrap()
    }

    #[tokio::test]
    async fn the_process_id_is_taken_out_of_the_output() {
        assert_eq!(said(&[b"\x1b]77", b"00;42\x07$ "]).await, Some((42, Bytes::from("$ "))));
        assert_eq!(said(&[b"OCI runtime exec failed: no such file\r\n"]).await, None);
        assert_eq!(said(&[b"\x1b]7700;x\x07"]).await, None);
        assert_eq!(said(&[&[b'x'; 2 * FIRST_CAP]]).await, None);
    }

    #[test]
    fn terminals_are_known_by_their_mark() {
        let id = TerminalId::generate();
        let words = ["-c", "…", &format!("{MARK}{id}"), "80"].map(str::to_owned);
        assert_eq!(marked(&words), Some(id));
        assert_eq!(marked(&[format!("{MARK}x"), id.to_string()]), None);
    }
}
