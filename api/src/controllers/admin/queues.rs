//! The job queues.

use serde::Deserialize;
use utoipa::IntoParams;

pub mod list;
pub mod pause;
pub mod resume;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct QueuePath {
    /// Name of the queue
    #[param(value_type = clawdeploy_shared::job::Queue)]
    pub queue: String,
}
