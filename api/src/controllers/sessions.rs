//! The person's sessions in browsers.

use clawdeploy_shared::ids::SessionId;
use serde::Deserialize;
use utoipa::IntoParams;

pub mod end;
pub mod list;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SessionPath {
    /// Id of the session
    #[serde(deserialize_with = "crate::extract::parsed")]
    pub id: SessionId,
}
