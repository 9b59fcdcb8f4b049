//! Parsers of OpenClaw's output in a tenant's container, for the fuzz target `openclaw_answers`.

use clawdeploy_shared::rpc::{Devices, OwnerBootstrap, PairedDevice};
use serde_json::Value;

use super::{dashboard_link, devices, openclaw::first_json};

/// As an answer to `devices list`.
pub fn devices(output: &[u8]) -> Option<Devices> {
    first_json::<devices::DeviceList>(output).map(Devices::from)
}

/// As an answer to `devices approve`.
pub fn approved(output: &[u8]) -> Option<PairedDevice> {
    devices::paired(&first_json::<Value>(output)?["device"])
}

/// As an answer to `dashboard`.
pub fn bootstrap(output: &[u8]) -> Option<OwnerBootstrap> {
    dashboard_link::bootstrap(&first_json(output)?)
}
