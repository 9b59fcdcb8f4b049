//! Devices, mostly browsers, that are paired with an instance's gateway. OpenClaw stores them, and workers call its
//! command line.

use clawdeploy_shared::{
    ids::InstanceId,
    rpc::{DeviceId, PairingRequestId},
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::{
    audit::Entry,
    error::{AppResult, ErrorCode},
};

pub mod approve;
pub mod list;
pub mod reject;
pub mod remove;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
pub struct RequestPath {
    /// Id of the instance
    pub id: InstanceId,
    /// Id of the pairing request
    #[serde(deserialize_with = "crate::extract::parsed")]
    pub request_id: PairingRequestId,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
pub struct DevicePath {
    /// Id of the instance
    pub id: InstanceId,
    /// Id of the device
    #[serde(deserialize_with = "crate::extract::parsed")]
    pub device_id: DeviceId,
}

/// The audit entry for a command to OpenClaw. It records a failure if the result is unknown, because the response was
/// lost or not understood. `None`: the command had no effect.
fn recorded<'a, T>(entry: Entry<'a>, called: &AppResult<T>, mut detail: Value) -> Option<Entry<'a>> {
    let Err(error) = called else { return Some(entry.detail(detail)) };
    match error.code() {
        ErrorCode::GatewayFailed | ErrorCode::TimedOut | ErrorCode::Unavailable | ErrorCode::InternalError => {
            detail["error"] = json!(error.code());
            Some(entry.refused().detail(detail))
        }
        _ => None,
    }
}
