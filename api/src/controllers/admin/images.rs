//! Builds of the OpenClaw image.

use clawdeploy_shared::ids::ImageBuildId;
use serde::Deserialize;
use utoipa::IntoParams;

pub mod list;
pub mod log;
pub mod rebuild;
pub mod show;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ImagePath {
    /// Id of the build
    pub id: ImageBuildId,
}
