//! A container's log, line by line as it grows.

use bollard::{container::LogOutput, query_parameters::LogsOptionsBuilder};
use chrono::{DateTime, Utc};
use clawdeploy_shared::rpc::usage::{LogArguments, LogLine, LogStream};
use futures_util::{Stream, StreamExt as _};

use super::{client::Docker, error::DockerError};
use crate::runtime::printed::{Lines, clean};

/// Splits one stream of a container into lines with their times.
#[derive(Debug)]
struct Assembler {
    stream: LogStream,
    lines: Lines,
    /// Time of the unfinished line.
    at: Option<DateTime<Utc>>,
}

impl Assembler {
    fn new(stream: LogStream) -> Self {
        Self { stream, lines: Lines::default(), at: None }
    }

    /// Takes an entry of the log: a time, a space, and a line or a part of one.
    fn take(&mut self, entry: &[u8]) -> Option<LogLine> {
        let space = entry.iter().position(|&byte| byte == b' ').unwrap_or_default();
        let (time, rest) = entry.split_at(space);
        let time = std::str::from_utf8(time).ok().and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let rest = if time.is_some() { &rest[1..] } else { entry };
        let at = *self.at.get_or_insert_with(|| time.map_or_else(Utc::now, |time| time.with_timezone(&Utc)));
        let mut complete = None;
        self.lines.push(rest, |line| complete = Some(line));
        let text = complete?;
        self.at = None;
        Some(LogLine { at, stream: self.stream, text: clean(&text) })
    }
}

impl Docker {
    /// Lines of a container's log, without control characters: the existing ones and, if it is followed, the coming
    /// ones until the container exits.
    pub(crate) async fn log_lines(
        &self,
        container: &str,
        arguments: LogArguments,
    ) -> Result<impl Stream<Item = Result<LogLine, DockerError>> + use<>, DockerError> {
        let api = self.api().await?;
        let LogArguments { tail, since, follow } = arguments;
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let mut options =
            LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).follow(follow).tail(&tail);
        if let Some(since) = since {
            // In whole seconds. Earlier lines of the same second are dropped below.
            options = options.since(i32::try_from(since.timestamp()).unwrap_or(i32::MAX));
        }
        let docker = self.clone();
        let (mut out, mut err) = (Assembler::new(LogStream::Stdout), Assembler::new(LogStream::Stderr));
        let lines = api.logs(container, Some(options.build())).filter_map(move |entry| {
            let line = match entry {
                Ok(LogOutput::StdErr { message }) => err.take(&message).map(Ok),
                Ok(LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message }) => {
                    out.take(&message).map(Ok)
                }
                Err(error) => Some(Err(docker.failed("read the container's log", error))),
            };
            let line = line.filter(|line| !line.as_ref().is_ok_and(|line| since.is_some_and(|since| line.at <= since)));
            std::future::ready(line)
        });
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_begin_when_they_began() {
        let mut out = Assembler::new(LogStream::Stdout);
        assert_eq!(out.take(b"2026-11-25T15:00:00.000000001Z first "), None);
        let line = out.take(b"2026-11-25T15:00:01.000000001Z\x20half\x1b[0m and last\n").unwrap();
        assert_eq!((line.at.timestamp_subsec_nanos(), line.text.as_str()), (1, "first half and last"));
        assert_eq!(line.at.to_rfc3339(), "2026-11-25T15:00:00.000000001+00:00");
        assert_eq!(out.take(b"2026-11-25T15:00:02Z \n").unwrap().text, "");
        assert_eq!(out.take(b"no time at all\n").unwrap().text, "no time at all");
    }
}
