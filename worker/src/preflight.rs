//! Looks at what an installation depends on, and says of each part what was found and what to do about it.
//!
//! The worker does this once at its start and logs what is wrong; `clawdeploy-worker doctor` prints everything. No check
//! changes anything, and none stops the worker: what it cannot work without ends its start by itself.
//!
//! Limits are judged for the number of instances that the machine is sized for: those that exist, or as many as its
//! memory holds, whichever is more.

use std::{fmt, time::Duration};

use chrono::Utc;
use clawdeploy_shared::{
    db::{Db, DbError, installation, server, worker},
    telemetry::chain,
};
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    config::WorkerConfig,
    runtime::docker::{Docker, EngineInfo},
};

mod disk;
mod engine;
pub mod kernel;
mod routing;
mod services;

/// Time limit for all checks that wait for one service.
const SERVICE_LIMIT: Duration = Duration::from_secs(12);

/// Memory of an instance that talks (docs/operations.md, Sizing), in bytes. It decides how many a machine holds.
const MEMORY_EACH: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    Ok,
    /// It works, but something will fail or be unsafe.
    Warn,
    /// Instances cannot work.
    Fail,
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable, `snake_case`.
    pub name: &'static str,
    pub status: CheckStatus,
    /// What was found.
    pub found: String,
    /// What to do. `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Ok, found: found.into(), fix: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: CheckStatus::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: CheckStatus::Fail, ..Self::warn(name, found, fix) }
    }
}

/// Runs every check. `planned` is a number of instances to judge for; without it, it is derived from the machine.
pub async fn look(config: &WorkerConfig, planned: Option<u64>) -> Vec<Check> {
    let (engine, postgres, redis, routing) =
        tokio::join!(engine(config), postgres(config), services::redis(&config.redis), routing::check(config));
    let (engine, mut checks) = match engine {
        Ok(engine) => {
            let checks = engine::judge(&engine);
            (Some(engine), checks)
        }
        Err(check) => (None, vec![check]),
    };
    let (present, of_postgres) = postgres;
    let holds = engine.as_ref().map_or(0, |engine| engine.memory_bytes / MEMORY_EACH);
    let instances = planned.unwrap_or(present.max(holds)).max(1);
    checks.push(engine::networks(config.instances.network_pool, config.routing.port_range, instances));
    let uid_map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let remapped = engine.as_ref().is_some_and(EngineInfo::is_remapped) || kernel::is_mapped(&uid_map);
    checks.extend(kernel::judge(&kernel::sysctl, instances, remapped));
    checks.extend(kernel::local_ports(&kernel::sysctl, config.routing.port_range));
    checks.extend(std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| kernel::own_files(&limits)));
    let floor = config.image.build.min_disk_mib << 20;
    checks.extend(disk::check("data_dir", config.instances.data_dir.clone(), floor).await);
    if let Some(root) = engine.and_then(|engine| engine.root_dir) {
        checks.extend(disk::check("engine_dir", root.into(), floor).await);
    }
    checks.extend(of_postgres);
    checks.push(redis);
    checks.extend(routing);
    checks
}

/// Logs what is wrong, once.
pub async fn log(config: &WorkerConfig) {
    for Check { name, status, found, fix } in look(config, None).await {
        match status {
            CheckStatus::Ok => tracing::debug!(check = name, found, "Preflight: as it should be"),
            CheckStatus::Warn => tracing::warn!(check = name, found, fix, "Preflight: this needs attention"),
            CheckStatus::Fail => {
                tracing::error!(check = name, found, fix, "Preflight: instances cannot work like this");
            }
        }
    }
}

async fn engine(config: &WorkerConfig) -> Result<EngineInfo, Check> {
    let args = &config.instances;
    let down = |why: String| {
        let fix = "Start it (systemctl start docker), or set CLAWDEPLOY_DOCKER_HOST to its socket. The worker's user must be \
                   root or in the group docker.";
        Check::fail("engine", format!("no Docker engine answers at {}: {why}", args.docker_host), fix)
    };
    let docker = Docker::connect(&args.docker_host, &args.deployment).map_err(|error| down(chain(&error)))?;
    match timeout(SERVICE_LIMIT, docker.info()).await {
        Ok(answer) => answer.map_err(|error| down(chain(&error))),
        Err(_) => Err(down(format!("no answer within {} s", SERVICE_LIMIT.as_secs()))),
    }
}

/// The number of instances, and the checks of Postgres.
async fn postgres(config: &WorkerConfig) -> (u64, Vec<Check>) {
    let asked = async {
        let db = Db::new(&config.database)?;
        let mut conn = db.conn().await?;
        let began = Utc::now();
        let server = server::ask(&mut conn).await?;
        let ended = Utc::now();
        // Before the first migration there are no such tables.
        let present = installation::count_instances(&mut conn).await.unwrap_or_default();
        let workers = worker::list(&mut conn).await.unwrap_or_default();
        let workers = workers.iter().filter(|(_, alive)| *alive).count().max(1);
        let connections = config.database.database_connections;
        let checks = [services::postgres(&server, connections, workers), services::clock(server.clock, began, ended)];
        Ok::<_, DbError>((u64::try_from(present).unwrap_or_default(), checks.into()))
    };
    let down = |why: String| {
        let fix = "Start it, or correct CLAWDEPLOY_DATABASE_URL. Nothing works without it.";
        (0, vec![Check::fail("postgres", format!("Postgres cannot be asked: {why}"), fix)])
    };
    match timeout(SERVICE_LIMIT, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => down(chain(&error)),
        Err(_) => down(format!("no answer within {} s", SERVICE_LIMIT.as_secs())),
    }
}
