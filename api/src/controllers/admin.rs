//! What administrators see and do.

use clawdeploy_shared::{
    ids::InstanceId,
    job::{JobKind, JobStatus},
};
use serde::Deserialize;
use utoipa::IntoParams;

pub mod audit;
pub mod images;
pub mod instances;
pub mod job_cancel;
pub mod job_retry;
pub mod jobs;
pub mod queues;
pub mod rebuild;
pub mod workers;

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobsQuery {
    /// How many items, at most
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
    /// `nextCursor` of the page before
    cursor: Option<String>,
    status: Option<JobStatus>,
    kind: Option<JobKind>,
    /// Those on this instance
    instance: Option<InstanceId>,
}
