//! The devices (browsers, mostly) that know an instance's gateway. OpenClaw keeps them; its own command line is asked.

use clawdeploy_shared::{
    ids::InstanceId,
    inside::{DeviceId, PairingRequestId},
};
use serde::Deserialize;
use utoipa::IntoParams;

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
    /// Id of the request for pairing
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
