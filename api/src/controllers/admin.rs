//! What administrators see and do.

use clawdeploy_shared::ids::ImageBuildId;
use serde::Deserialize;
use utoipa::IntoParams;

pub mod audit;
pub mod audit_export;
pub mod audit_query;
pub mod firewall;
pub mod image_log;
pub mod image_show;
pub mod images;
pub mod instances;
pub mod instances_query;
pub mod job_cancel;
pub mod job_drop;
pub mod job_retry;
pub mod job_show;
mod job_view;
pub mod jobs;
pub mod jobs_query;
pub mod queue_pause;
pub mod queue_resume;
pub mod queues;
pub mod rebuild;
pub mod reconcile_run;
pub mod reconcile_show;
pub mod recoverable;
pub mod recoverable_purge;
pub mod recoverable_restore;
pub mod rollout_show;
pub mod update_all;
pub mod users;
pub mod version_policy;
pub mod worker_drain;
pub mod workers;

/// Which queue.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct QueuePath {
    /// Name of the queue
    #[param(value_type = clawdeploy_shared::job::Queue)]
    pub queue: String,
}

/// Which worker.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct WorkerPath {
    /// Id of the worker
    pub id: String,
}

/// Which build of the image.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ImagePath {
    /// Id of the build
    pub id: ImageBuildId,
}
