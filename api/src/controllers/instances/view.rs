//! How an instance looks from outside. Nothing sealed is ever part of it.

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    config::RoutingArgs,
    db::{instance::Instance, job::Job},
    ids::{InstanceId, UserId},
    instance::{AiProvider, Channel, DesiredState, InstanceStatus},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    controllers::jobs::{Failure, JobView},
    reveal::Revealed,
};

/// An instance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    pub id: InstanceId,
    pub owner_id: UserId,
    pub name: String,
    pub status: InstanceStatus,
    /// What the owner wants; with a job under way it differs from `status`.
    pub desired_state: DesiredState,
    /// What went wrong; with status `error` only.
    pub error: Option<Failure>,
    pub channel: Channel,
    pub ai_provider: AiProvider,
    /// Memory limit, in MiB.
    pub memory_mb: i32,
    /// CPU limit, in thousandths of a core.
    pub cpu_millis: i32,
    /// Port of the gateway on the host; null: none yet.
    pub port: Option<u16>,
    /// Where the dashboard is opened; while it runs only.
    pub dashboard_url: Option<String>,
    /// Token that opens the dashboard: only where a single instance is asked for, while it runs, and by its owner.
    pub gateway_token: Option<Revealed>,
    /// The job that is changing it, or will be next.
    pub current_job: Option<JobView>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub status_changed_at: DateTime<Utc>,
}

impl InstanceView {
    /// Without the gateway's token.
    pub fn new(instance: Instance, port: Option<u16>, current: Option<Job>, routing: &RoutingArgs) -> Self {
        let running = instance.status == InstanceStatus::Running;
        let dashboard_url = port.filter(|_| running).map(|port| routing.dashboard_url(&instance.id, port));
        Self {
            id: instance.id,
            owner_id: instance.owner_id,
            name: instance.name,
            status: instance.status,
            desired_state: instance.desired_state,
            error: Failure::new(instance.error_code, instance.error_message),
            channel: instance.channel,
            ai_provider: instance.ai_provider,
            memory_mb: instance.memory_mb,
            cpu_millis: instance.cpu_millis,
            port,
            dashboard_url,
            gateway_token: None,
            current_job: current.map(JobView::from),
            created_at: instance.created_at,
            updated_at: instance.updated_at,
            status_changed_at: instance.status_changed_at,
        }
    }
}

/// The job that matters of those open on one instance, in order of arrival: the one that runs, or else the next one.
pub(super) fn current(open: Vec<Job>) -> Option<Job> {
    use clawdeploy_shared::job::JobStatus;
    let running = open.iter().position(|job| job.status == JobStatus::Running);
    open.into_iter().nth(running.unwrap_or(0))
}
