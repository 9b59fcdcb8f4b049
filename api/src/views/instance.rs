//! How an instance looks from outside. Nothing sealed is ever part of it.

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    config::RoutingArgs,
    db::{
        instance::{Instance, InstanceSettings},
        job::Job,
        version_policy::Versions,
    },
    ids::{InstanceId, UserId},
    instance::{AiProvider, Channel, DesiredState, InstanceStatus},
    job::JobStatus,
    text_enum,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::job::{Failure, JobView};
use crate::reveal::Revealed;

/// An instance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    pub id: InstanceId,
    pub owner_id: UserId,
    pub name: String,
    pub status: InstanceStatus,
    /// The state that the owner wants; it differs from `status` while a job is in progress.
    pub desired_state: DesiredState,
    /// What went wrong; with status `error` only.
    pub error: Option<Failure>,
    pub channel: Channel,
    pub ai_provider: AiProvider,
    /// Memory limit, in MiB.
    pub memory_mb: i32,
    /// CPU limit, in thousandths of a core.
    pub cpu_millis: i32,
    /// Disk usage of its files, in bytes, measured about once a minute; null: not measured yet.
    pub disk_bytes: Option<i64>,
    /// Disk limit, in bytes: at four fifths of it the audit log gets a warning, at the limit the instance is stopped; null: no
    /// limit.
    pub disk_limit_bytes: Option<i64>,
    /// Names of its environment variables; values are not shown.
    pub env: Vec<String>,
    /// Settings that were changed and that the container does not have yet: a restart, an update or `applyNow` applies them.
    pub pending_changes: Vec<Setting>,
    /// Installed version of OpenClaw; null: not known, or none yet.
    pub openclaw_version: Option<String>,
    /// Version of OpenClaw that an update installs, if it has been built; null: none has.
    pub latest_version: Option<String>,
    /// A newer image than the instance's is available.
    pub update_available: bool,
    /// Its version of OpenClaw is known to be vulnerable: update it.
    pub vulnerable: bool,
    /// Port of the gateway on the host; null: none yet.
    pub port: Option<u16>,
    /// URL of the dashboard; only while the instance runs.
    pub dashboard_url: Option<String>,
    /// Token that opens the dashboard; shown only to the owner, for a single instance, while it runs.
    pub gateway_token: Option<Revealed>,
    /// The current job, or the next one.
    pub current_job: Option<JobView>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub status_changed_at: DateTime<Utc>,
}

impl InstanceView {
    /// Without the gateway's token.
    pub fn new(
        instance: Instance,
        port: Option<u16>,
        current: Option<Job>,
        versions: &Versions,
        routing: &RoutingArgs,
    ) -> Self {
        let running = instance.status == InstanceStatus::Running;
        let dashboard_url = port.filter(|_| running).map(|port| routing.dashboard_url(&instance.id, port));
        // Only this program writes them: what it cannot read is no change that it knows of.
        let pending_changes = instance.wanted_settings().map(|wanted| changed(&instance.settings(), &wanted));
        let update_available =
            matches!((&instance.image_id, &versions.latest_image), (Some(image), Some(latest)) if image != latest);
        Self {
            env: instance.settings().env_sealed.into_keys().collect(),
            pending_changes: pending_changes.unwrap_or_default(),
            update_available,
            vulnerable: versions.policy.is_vulnerable(instance.openclaw_version.as_deref()),
            openclaw_version: instance.openclaw_version,
            latest_version: versions.latest_version.clone(),
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
            disk_bytes: instance.disk_bytes,
            disk_limit_bytes: instance.disk_limit_bytes,
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

text_enum!(
    /// A setting that can be changed later on.
    Setting {
        MemoryMb = "memoryMb",
        CpuMillis = "cpuMillis",
        Channel = "channel",
        BotToken = "botToken",
        AiProvider = "aiProvider",
        ApiKey = "apiKey",
        Env = "env",
    }
);

/// In what settings differ.
pub(crate) fn changed(from: &InstanceSettings, to: &InstanceSettings) -> Vec<Setting> {
    let differences = [
        (from.memory_mb != to.memory_mb, Setting::MemoryMb),
        (from.cpu_millis != to.cpu_millis, Setting::CpuMillis),
        (from.channel != to.channel, Setting::Channel),
        (from.bot_token_sealed != to.bot_token_sealed, Setting::BotToken),
        (from.ai_provider != to.ai_provider, Setting::AiProvider),
        (from.api_key_sealed != to.api_key_sealed, Setting::ApiKey),
        (from.env_sealed != to.env_sealed, Setting::Env),
    ];
    differences.into_iter().filter_map(|(differs, setting)| differs.then_some(setting)).collect()
}

/// The job that matters of those open on one instance, in order of arrival: the one that runs, or else the next one.
pub(crate) fn current(open: Vec<Job>) -> Option<Job> {
    let running = open.iter().position(|job| job.status == JobStatus::Running);
    open.into_iter().nth(running.unwrap_or(0))
}
