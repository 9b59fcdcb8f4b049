//! The workers.

use serde::Deserialize;
use utoipa::IntoParams;

pub mod drain;
pub mod list;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct WorkerPath {
    /// Id of the worker
    pub id: String,
}
