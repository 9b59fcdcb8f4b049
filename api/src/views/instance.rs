//! Instances as the API returns them, without sealed secrets.

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    config::Routing,
    db::{
        instance::{Instance, InstanceSettings},
        job::Job,
        sleep,
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
use crate::{reveal::Revealed, state::App};

/// An instance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    pub id: InstanceId,
    /// Always set: nobody is shown an instance that belongs to nobody.
    #[schema(value_type = UserId)]
    pub owner_id: Option<UserId>,
    pub name: String,
    pub status: InstanceStatus,
    /// State that the owner wants; it differs from `status` while a job is in progress.
    pub desired_state: DesiredState,
    /// Reason of the status `error`; null with any other status.
    pub error: Option<Failure>,
    pub channel: Channel,
    pub ai_provider: AiProvider,
    /// Memory limit, in MiB.
    pub memory_mb: i32,
    /// CPU limit, in thousandths of a core.
    pub cpu_millis: i32,
    /// Disk usage of its files, in bytes, measured about once a minute; null: not measured yet.
    pub disk_bytes: Option<i64>,
    /// Disk limit, in bytes; null: no limit. At four fifths of it, a warning is written to the audit log; at the limit,
    /// the instance is stopped.
    pub disk_limit_bytes: Option<i64>,
    /// Names of its environment variables; values are not shown.
    pub env: Vec<String>,
    /// Changed settings that the container does not have yet; a start, restart, update or `applyNow` applies them.
    pub pending_changes: Vec<Setting>,
    /// Installed version of OpenClaw; null: not known, or none yet.
    pub openclaw_version: Option<String>,
    /// Version of OpenClaw in the latest image; null: not known, or no image has been built.
    pub latest_version: Option<String>,
    /// Whether a newer image than the instance's is available.
    pub update_available: bool,
    /// Whether its version of OpenClaw is known to be vulnerable, so that it should be updated.
    pub vulnerable: bool,
    /// Port of the gateway on the host; null: none yet.
    pub port: Option<u16>,
    /// URL of the dashboard; only while the instance runs, or sleeps and is woken by it.
    pub dashboard_url: Option<String>,
    /// Token that opens the dashboard; returned only for a single instance, to its owner, while it runs.
    pub gateway_token: Option<Revealed>,
    /// Own setting: idle minutes after which it falls asleep. 0: never; null: the server's default applies.
    pub sleep_minutes: Option<i32>,
    /// Idle minutes after which it falls asleep; null: it never does.
    pub sleeps_after_minutes: Option<i32>,
    /// Set while it is stopped because nobody used it; null: it does not sleep.
    pub asleep: Option<Asleep>,
    /// When it last woke, and why; null: never.
    pub last_wake: Option<Wake>,
    /// Running job, or the next one.
    pub current_job: Option<JobView>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub status_changed_at: DateTime<Utc>,
}

/// The sleep of an instance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asleep {
    since: DateTime<Utc>,
    /// When its own schedule is due, which wakes it; null: never.
    wakes_at: Option<DateTime<Utc>>,
}

/// The end of a sleep.
#[derive(Debug, Serialize, ToSchema)]
pub struct Wake {
    at: DateTime<Utc>,
    /// `address`, `dashboard`, `terminal`, `schedule` or `start`; more can be added.
    by: String,
}

impl InstanceView {
    /// The view without the gateway's token.
    pub fn new(instance: Instance, port: Option<u16>, current: Option<Job>, versions: &Versions, app: &App) -> Self {
        let running = instance.status == InstanceStatus::Running;
        let asleep = sleep::is_asleep(&instance);
        // Behind nginx, the address of one that sleeps wakes it.
        let wakes = instance.status == InstanceStatus::Stopped && asleep && app.routing.routing == Routing::Nginx;
        let dashboard_url = port.filter(|_| running || wakes).map(|port| app.routing.dashboard_url(&instance.id, port));
        // Settings that cannot be read were written by a newer version, and are not shown.
        let pending_changes = instance.wanted_settings().map(|wanted| changed(&instance.settings(), &wanted));
        let update_available =
            matches!((&instance.image_id, &versions.latest_image), (Some(image), Some(latest)) if image != latest);
        let asleep_since = instance.asleep_since.filter(|_| asleep);
        Self {
            sleep_minutes: instance.sleep_minutes,
            sleeps_after_minutes: app.sleep.minutes(&instance),
            asleep: asleep_since.map(|since| Asleep { since, wakes_at: instance.wake_at }),
            last_wake: instance.woken_at.zip(instance.woken_by.clone()).map(|(at, by)| Wake { at, by }),
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
    /// A setting that can be changed.
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

/// The settings that differ.
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

/// The current job among the open jobs of an instance, given in order of arrival: the running one, or else the next
/// one.
pub(crate) fn current(open: Vec<Job>) -> Option<Job> {
    let running = open.iter().position(|job| job.status == JobStatus::Running);
    open.into_iter().nth(running.unwrap_or(0))
}
