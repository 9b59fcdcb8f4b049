//! The last output of a container, cleaned for display.

use std::collections::VecDeque;

use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use futures_util::StreamExt as _;

use super::{
    client::{Docker, READ_LIMIT},
    error::DockerError,
};
use crate::runtime::printed::{Lines, clean, redact, shorten};

/// Most bytes that [`Docker::tail`] returns.
const TAIL_CAP: usize = 16 * 1024;

impl Docker {
    /// The last `lines` lines of a container's output, oldest first, at most 16 KiB. Empty if there is no container.
    ///
    /// Occurrences of `secrets` are masked.
    pub async fn tail(&self, id: &str, lines: usize, secrets: &[&str]) -> Result<Vec<String>, DockerError> {
        let api = self.api().await?;
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&lines.to_string()).build();
        let read = async {
            let (mut out, mut err) = (Lines::default(), Lines::default());
            let mut tail = VecDeque::new();
            let mut output = api.logs(id, Some(options));
            while let Some(piece) = output.next().await {
                // Each stream has its own unfinished line: mixed, each line could hold half a secret.
                let (stream, bytes) = match piece? {
                    LogOutput::StdErr { message } => (&mut err, message),
                    LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                        (&mut out, message)
                    }
                };
                stream.push(&bytes, |line| keep(&mut tail, lines, &line));
            }
            for rest in [out.finish(), err.finish()].into_iter().flatten() {
                keep(&mut tail, lines, &rest);
            }
            Ok(tail)
        };
        match self.run("read the container's log", READ_LIMIT, read).await {
            Ok(tail) => Ok(presentable(tail, secrets)),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn keep(tail: &mut VecDeque<String>, lines: usize, line: &str) {
    tail.push_back(clean(line));
    // Twice the cap, because masking may shorten lines.
    while tail.len() > lines || tail.iter().map(String::len).sum::<usize>() > 2 * TAIL_CAP {
        tail.pop_front();
    }
}

fn presentable(tail: VecDeque<String>, secrets: &[&str]) -> Vec<String> {
    let mut room = TAIL_CAP;
    let mut lines: Vec<String> = tail
        .into_iter()
        .rev()
        .map(|line| shorten(&redact(&line, secrets)))
        .take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len() + 1);
            fits
        })
        .collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_newest_within_its_cap() {
        let mut tail = VecDeque::new();
        for i in 0..100 {
            keep(&mut tail, 50, &format!("{i} {}", "x".repeat(1000)));
        }
        let lines = presentable(tail, &[]);
        assert!(lines.iter().map(String::len).sum::<usize>() <= TAIL_CAP);
        assert!(lines.len() > 10);
        assert!(lines.last().unwrap().starts_with("99 "));
    }
}
