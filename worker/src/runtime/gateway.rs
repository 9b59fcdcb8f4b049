//! The words in which gateways are spoken of, whichever engine runs them.

use std::{fmt, path::PathBuf};

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::instance::Instance,
    ids::{InstanceId, JobId},
    ports::Subnet,
};

/// A gateway, by the id that its engine gave it. No other ever gets the same, so that what is asked of one that is gone does not
/// happen to its successor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference(String);

impl Reference {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The gateway that an instance's row names.
    pub fn of(instance: &Instance) -> Option<Self> {
        instance.container_id.clone().map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that makes one instance's container differ from another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySpec {
    pub instance: InstanceId,
    pub deployment: String,
    /// Id of the image, not a tag: a tag may move between two attempts.
    pub image_id: String,
    /// Port on the host's loopback.
    pub port: u16,
    pub memory_mb: i32,
    /// CPU while it runs, in thousandths; set by [`set_cpu`](super::Runtime::set_cpu) once the gateway is ready.
    pub cpu_millis: i32,
    /// CPU while it starts, in thousandths; never less than `cpu_millis`. Booting is nearly all CPU time.
    pub boost_cpu_millis: i32,
    pub config_dir: PathBuf,
    pub workspace_dir: PathBuf,
    pub job: JobId,
    pub attempt: i32,
}

impl GatewaySpec {
    /// CPU that the container starts with, in thousandths.
    pub fn start_cpu_millis(&self) -> i32 {
        self.boost_cpu_millis.max(self.cpu_millis)
    }
}

/// The network of an instance, named like its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    pub instance: InstanceId,
    pub deployment: String,
    pub subnet: Subnet,
}

/// What the engine says a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GatewayStatus {
    Created,
    Running,
    Paused,
    /// Between two starts by the engine's restart policy.
    Restarting,
    Removing,
    Exited,
    /// Half removed; it can only be removed again.
    Dead,
}

/// A container of this deployment, as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedGateway {
    pub id: Reference,
    pub name: String,
    pub instance: InstanceId,
    pub status: GatewayStatus,
    pub image_id: String,
    /// Hash of what it was made from.
    pub spec: String,
}

/// One container, looked at closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayState {
    pub status: GatewayStatus,
    /// Of the last run that ended; `None` while it runs and before it ever ran.
    pub exit_code: Option<i64>,
    /// Its first process was killed for memory. Stays false when only a child was.
    pub oom_killed: bool,
    /// Restarts by the engine's policy since it was last started by us.
    pub restart_count: i64,
    pub started_at: Option<DateTime<Utc>>,
    pub image_id: String,
    /// CPU limit in force, in thousandths; 0 for none.
    pub cpu_millis: i32,
    /// Why the last start failed, in the engine's words.
    pub error: Option<String>,
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceAction {
    Start,
    /// Its first process ended, for whatever reason.
    Die,
    /// The kernel killed a process of it for memory.
    Oom,
    /// A stop that somebody asked for is complete; comes after `Die`.
    Stop,
    Pause,
    Unpause,
    Destroy,
}

/// One thing that happened to the container of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEvent {
    pub instance: InstanceId,
    pub gateway: Reference,
    pub action: InstanceAction,
    /// Of a [`InstanceAction::Die`].
    pub exit_code: Option<i64>,
    pub at: DateTime<Utc>,
}
