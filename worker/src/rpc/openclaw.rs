//! Runs OpenClaw's command line beside the gateway and parses its output.
//!
//! The output is controlled by the tenant: it is bounded, parsed for the few needed fields, and each text is shortened
//! and stripped of unprintable characters. The rest is discarded, since `dashboard` also prints the gateway's token.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        DbError, Scope,
        instance::{self, Instance},
    },
    ids::{InstanceId, UserId},
    rpc::{DeviceId, Devices, RefusalCode},
    telemetry::chain,
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Rpc, devices::DeviceList, refusal::Refused, runs::Permit};
use crate::{
    gateway_rpc::device::Device,
    runtime::{Ending, Finished, Reference, Runtime},
};

/// Time limit of a call. The API waits a little longer, and most proxies a minute.
pub(super) const BUDGET: Duration = Duration::from_secs(50);
/// How much of it may be spent waiting for a slot.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway whose command line may be used until this is dropped.
#[derive(Debug)]
pub(super) struct Gateway {
    runtime: Runtime,
    instance: InstanceId,
    container: Reference,
    /// Our own devices.
    own: Vec<DeviceId>,
    deadline: Instant,
    _permit: Permit,
}

impl Gateway {
    /// Waits for a slot.
    pub(super) async fn take(
        rpc: &Rpc,
        instance: &InstanceId,
        container: Reference,
        deadline: Instant,
    ) -> Result<Self, Refused> {
        let (row, _) = row(rpc, instance).await?;
        let permit = rpc.runs.acquire(instance, owner(&row)?, PATIENCE).await.ok_or_else(busy)?;
        let own = Device::all(&rpc.env.sealer, instance).into_iter().map(|device| device.id).collect();
        let runtime = rpc.env.runtime.clone();
        Ok(Self { runtime, instance: instance.clone(), container, own, deadline, _permit: permit })
    }

    /// Whether a device is ours, which nobody else may change.
    pub(super) fn owns(&self, device: &DeviceId) -> bool {
        self.own.contains(device)
    }

    /// Runs `openclaw ARGUMENTS --json` and parses the answer. `None`: the command failed.
    pub(super) async fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<Option<T>, Refused> {
        let command: Vec<&str> = ["openclaw"].into_iter().chain(arguments.iter().copied()).chain(["--json"]).collect();
        let left = self.deadline.saturating_duration_since(Instant::now());
        let began = Instant::now();
        let Finished { ending, stdout, cut, .. } = self.runtime.exec(&self.container, &command, left).await?;
        let (duration_ms, bytes) = (began.elapsed().as_millis(), stdout.len());
        tracing::debug!(instance = %self.instance, command = arguments[0], ?ending, duration_ms, bytes, "Ran a command");
        match ending {
            Ending::TimedOut => Err(Refused::new(RefusalCode::TimedOut, "the command took too long")),
            Ending::Killed => Err(Refused::new(
                RefusalCode::CommandFailed,
                "the command was killed, probably because it ran out \
                                                              of memory",
            )),
            Ending::Exited(126 | 127) => Err(Refused::new(RefusalCode::CommandFailed, "the image has no such command")),
            Ending::Exited(0) if cut => Err(Refused::new(RefusalCode::CommandFailed, "the command printed too much")),
            Ending::Exited(0) => first_json(&stdout)
                .map(Some)
                .ok_or_else(|| Refused::new(RefusalCode::CommandFailed, "the command's output could not be parsed")),
            Ending::Exited(_) => Ok(None),
        }
    }

    /// Like [`Gateway::ask`], for commands whose failure has no special meaning.
    pub(super) async fn expect<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Refused> {
        let failed = || Refused::new(RefusalCode::CommandFailed, "the command failed");
        self.ask(arguments).await?.ok_or_else(failed)
    }

    /// The devices that the gateway knows.
    pub(super) async fn devices(&self) -> Result<Devices, Refused> {
        Ok(self.expect::<DeviceList>(&["devices", "list"]).await?.without(&self.own).into())
    }
}

/// The instance's row and port.
pub(super) async fn row(rpc: &Rpc, instance: &InstanceId) -> Result<(Instance, Option<u16>), Refused> {
    let found = async { instance::find(&mut *rpc.env.db.conn().await?, Scope::Everything, instance).await };
    let found: Result<_, DbError> = found.await;
    found
        .map_err(|error| Refused::new(RefusalCode::EngineFailed, chain(&error)))?
        .ok_or_else(|| Refused::new(RefusalCode::NoContainer, "the instance does not exist"))
}

/// Its owner. Nobody can ask for one without, so this only fails if there is a bug.
pub(super) fn owner(row: &Instance) -> Result<UserId, Refused> {
    row.owner_id.ok_or_else(|| Refused::new(RefusalCode::NoContainer, "the instance belongs to nobody"))
}

pub(super) fn busy() -> Refused {
    Refused::new(RefusalCode::Busy, "other commands are running")
}

/// The first JSON object in an output, which Node's warnings may precede. Unknown fields are ignored.
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
