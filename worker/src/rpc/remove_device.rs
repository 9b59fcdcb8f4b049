//! Removes an approved device: `openclaw devices remove`.

use clawdeploy_shared::rpc::{DeviceArguments, RefusalCode};
use serde_json::{Value, json};

use super::{openclaw::Gateway, refusal::Refused};

pub(super) async fn run(gateway: &Gateway, arguments: DeviceArguments) -> Result<Value, Refused> {
    let unknown = || Refused::new(RefusalCode::UnknownDevice, "no device with this id was approved");
    if gateway.owns(&arguments.device_id) {
        return Err(unknown());
    }
    let id = arguments.device_id.to_string();
    if gateway.ask::<Value>(&["devices", "remove", &id]).await?.is_some() {
        return Ok(json!({}));
    }
    // OpenClaw has no code for an unknown device.
    let known = gateway.devices().await?.paired.iter().any(|device| device.device_id == arguments.device_id);
    Err(if known { Refused::new(RefusalCode::CommandFailed, "the command failed") } else { unknown() })
}
