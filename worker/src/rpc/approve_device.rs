//! Approves a device: `openclaw devices approve`.

use clawdeploy_shared::rpc::{PairedDevice, RefusalCode, RequestArguments};
use serde::Deserialize;
use serde_json::Value;

use super::{devices::paired, openclaw::Gateway, refusal::Refused};

#[derive(Debug, Deserialize)]
struct Approved {
    #[serde(default)]
    device: Value,
}

pub(super) async fn run(gateway: &Gateway, arguments: RequestArguments) -> Result<PairedDevice, Refused> {
    let id = arguments.request_id.to_string();
    match gateway.ask::<Approved>(&["devices", "approve", &id]).await? {
        Some(approved) => paired(&approved.device)
            .ok_or_else(|| Refused::new(RefusalCode::CommandFailed, "OpenClaw did not say which device it approved")),
        None => Err(failed(gateway, arguments).await?),
    }
}

/// Explains a failure: OpenClaw has no code for an unknown request, so its list is read.
pub(super) async fn failed(gateway: &Gateway, arguments: RequestArguments) -> Result<Refused, Refused> {
    let waits = gateway.devices().await?.pending.iter().any(|device| device.request_id == arguments.request_id);
    Ok(if waits {
        Refused::new(RefusalCode::CommandFailed, "the command failed")
    } else {
        Refused::new(RefusalCode::UnknownRequest, "no device with this id waits for approval")
    })
}
