//! Jobs and their progress.

use clawdeploy_shared::ids::JobId;
use serde::Deserialize;
use utoipa::IntoParams;

pub mod build_log;
pub mod cancel;
pub mod events;
pub mod show;
mod stream;

pub use self::cancel::{desired_without, is_start};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct JobPath {
    /// Id of the job
    #[serde(deserialize_with = "crate::extract::parsed")]
    pub id: JobId,
}
