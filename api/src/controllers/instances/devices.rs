//! The devices (browsers, mostly) that know an instance's gateway. OpenClaw keeps them; its own command line is asked.

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

/// Which waiting device.
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

/// Which device that was let in.
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

/// The entry for what OpenClaw was told to do: done, or, where its answer was lost or not understood, perhaps done. `None` where it
/// certainly did nothing.
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
