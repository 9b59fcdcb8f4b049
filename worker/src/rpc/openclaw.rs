//! OpenClaw's own command line, run beside the gateway, and what it prints.
//!
//! What comes out of a container is its tenant's: it is bounded, read for the few fields that are wanted, and each text in
//! it is shortened and freed of what would not print. Of the rest nothing is kept, since `dashboard` prints the gateway's token too.

use std::time::Duration;

use clawdeploy_shared::{
    ids::InstanceId,
    inside::{Devices, RefusalCode},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Rpc, devices::DeviceList, refusal::Refused, runs::Turn};
use crate::runtime::{Ending, Finished, Reference, Runtime};

/// From a call until its answer. The API waits a little longer, and most proxies a minute.
const BUDGET: Duration = Duration::from_secs(50);
/// How much of it may pass before it is one's turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway whose command line may be used, until it is dropped.
#[derive(Debug)]
pub(super) struct Gateway {
    runtime: Runtime,
    instance: InstanceId,
    container: Reference,
    deadline: Instant,
    _turn: Turn,
}

impl Gateway {
    /// Waits for one's turn.
    pub(super) async fn take(rpc: &Rpc, instance: &InstanceId, container: Reference) -> Result<Self, Refused> {
        let deadline = Instant::now() + BUDGET;
        let turn = rpc.runs.turn(instance, PATIENCE).await;
        let turn = turn.ok_or_else(|| Refused::new(RefusalCode::Busy, "other commands are running"))?;
        let runtime = rpc.env.runtime.clone();
        Ok(Self { runtime, instance: instance.clone(), container, deadline, _turn: turn })
    }

    /// Runs `openclaw ARGUMENTS --json` and reads what it answers. `None`: it ended with an error.
    pub(super) async fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<Option<T>, Refused> {
        let command: Vec<&str> = ["openclaw"].into_iter().chain(arguments.iter().copied()).chain(["--json"]).collect();
        let left = self.deadline.saturating_duration_since(Instant::now());
        let began = Instant::now();
        let Finished { ending, stdout, cut, .. } = self.runtime.exec(&self.container, &command, left).await?;
        let (duration_ms, bytes) = (began.elapsed().as_millis(), stdout.len());
        tracing::debug!(instance = %self.instance, command = arguments[0], ?ending, duration_ms, bytes, "Ran a command");
        match ending {
            Ending::TimedOut => Err(Refused::new(RefusalCode::TimedOut, "the command did not end in time")),
            Ending::Killed => {
                Err(Refused::new(RefusalCode::CommandFailed, "the command was killed, probably for memory"))
            }
            Ending::Exited(126 | 127) => Err(Refused::new(RefusalCode::CommandFailed, "the image has no such command")),
            Ending::Exited(0) if cut => Err(Refused::new(RefusalCode::CommandFailed, "the command said too much")),
            Ending::Exited(0) => first_json(&stdout)
                .map(Some)
                .ok_or_else(|| Refused::new(RefusalCode::CommandFailed, "the command's answer was not understood")),
            Ending::Exited(_) => Ok(None),
        }
    }

    /// As [`Gateway::ask`], where an error has no meaning of its own.
    pub(super) async fn expect<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Refused> {
        let failed = || Refused::new(RefusalCode::CommandFailed, "the command ended with an error");
        self.ask(arguments).await?.ok_or_else(failed)
    }

    /// The devices that it knows.
    pub(super) async fn devices(&self) -> Result<Devices, Refused> {
        Ok(self.expect::<DeviceList>(&["devices", "list"]).await?.into())
    }
}

/// The first object in an output; warnings of Node's may stand before it. Unknown fields are none of our business.
pub(super) fn first_json<T: DeserializeOwned>(output: &[u8]) -> Option<T> {
    let start = output.iter().position(|&byte| byte == b'{')?;
    serde_json::Deserializer::from_slice(&output[start..]).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_answer_is_found_among_other_words() {
        for (output, want) in [
            ("{\"a\":1}", Some(json!({ "a": 1 }))),
            ("(node:7) Warning: x\n{\"a\":1}\n{\"b\":2}", Some(json!({ "a": 1 }))),
            ("", None),
            ("none", None),
            ("{\"a\":", None),
        ] {
            assert_eq!(first_json::<Value>(output.as_bytes()), want, "{output:?}");
        }
    }

    #[test]
    fn depth_is_no_way_to_end_the_worker() {
        let deep = format!("{{\"a\":{}", "[".repeat(500_000));
        assert_eq!(first_json::<Value>(deep.as_bytes()), None);
    }
}
