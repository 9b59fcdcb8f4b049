//! Types for gateways that do not depend on the engine.

use std::{fmt, path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use clawdeploy_shared::{
    db::instance::Instance,
    ids::{InstanceId, JobId},
    ports::Subnet,
};

/// A gateway by its engine's id. Ids are never reused, so a late call cannot hit a successor.
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

/// Everything in which the containers of two instances differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySpec {
    pub instance: InstanceId,
    pub deployment: String,
    /// Id of the image, not a tag, which could move between two attempts.
    pub image_id: String,
    /// Port on the host's loopback.
    pub port: u16,
    pub memory_mb: i32,
    /// CPU limit while it runs, in thousandths of a core. [`set_cpu`](super::Runtime::set_cpu) sets it once the gateway
    /// is ready.
    pub cpu_millis: i32,
    /// CPU limit while it starts, in thousandths of a core, never less than `cpu_millis`. Booting is nearly all CPU
    /// time.
    pub boost_cpu_millis: i32,
    pub config_dir: PathBuf,
    pub workspace_dir: PathBuf,
    pub job: JobId,
    pub attempt: i32,
}

impl GatewaySpec {
    /// CPU limit that the container starts with, in thousandths of a core.
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
    /// Waiting for the next start by the engine's restart policy.
    Restarting,
    Removing,
    Exited,
    /// Partly removed. It can only be removed again.
    Dead,
}

/// A container of this deployment as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedGateway {
    pub id: Reference,
    pub name: String,
    pub instance: InstanceId,
    pub status: GatewayStatus,
    /// Of the last run. `None` while it runs and before its first run.
    pub exit_code: Option<i64>,
    /// For how long it has been running, at least. `None`: it does not run, or the engine's words are not known.
    pub up: Option<Duration>,
    /// Port of this host that leads to its gateway. `None`: it does not run, or has none.
    pub port: Option<u16>,
    pub image_id: String,
    /// Hash of the body that it was made from.
    pub spec: String,
}

/// The inspected state of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayState {
    pub status: GatewayStatus,
    /// Of the last run. `None` while it runs and before its first run.
    pub exit_code: Option<i64>,
    /// Whether its first process was killed for lack of memory. Stays false if only a child was.
    pub oom_killed: bool,
    /// Restarts by the engine's policy since our last start.
    pub restart_count: i64,
    pub started_at: Option<DateTime<Utc>>,
    pub image_id: String,
    /// Current CPU limit in thousandths of a core. 0: none.
    pub cpu_millis: i32,
    /// The engine's message about the last failed start.
    pub error: Option<String>,
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceAction {
    Start,
    /// Its first process exited, for whatever reason.
    Die,
    /// The kernel killed one of its processes for lack of memory.
    Oom,
    /// A requested stop has completed. Comes after `Die`.
    Stop,
    Pause,
    Unpause,
    Destroy,
}

/// An event of an instance's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEvent {
    pub instance: InstanceId,
    pub gateway: Reference,
    pub action: InstanceAction,
    /// Of an [`InstanceAction::Die`].
    pub exit_code: Option<i64>,
    pub at: DateTime<Utc>,
}
