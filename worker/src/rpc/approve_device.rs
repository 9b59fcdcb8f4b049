//! Lets a device in: `openclaw devices approve`.

use clawdeploy_shared::inside::{PairedDevice, RefusalCode, RequestArguments};
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
            .ok_or_else(|| Refused::new(RefusalCode::CommandFailed, "OpenClaw did not say which device it let in")),
        None => Err(failed(gateway, arguments).await?),
    }
}

/// Why OpenClaw would not: it has no code for a request that is not there, so its list is looked at.
pub(super) async fn failed(gateway: &Gateway, arguments: RequestArguments) -> Result<Refused, Refused> {
    let waits = gateway.devices().await?.pending.iter().any(|device| device.request_id == arguments.request_id);
    Ok(if waits {
        Refused::new(RefusalCode::CommandFailed, "the command ended with an error")
    } else {
        Refused::new(RefusalCode::UnknownRequest, "no device waits under this id")
    })
}
