//! The worker's environment: settings, connections and shared state. One for the process.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use clawdeploy_shared::{db::Db, doorbell::Doorbell, http, secret::Sealer, telemetry::chain};
use tokio_util::sync::CancellationToken;

use crate::{
    config::WorkerConfig,
    core_tasks::CoreTasks,
    disk_meter::DiskMeter,
    files::Files,
    identity::Identity,
    nginx::Routes,
    probe::Probe,
    runtime::{Runtime, docker::Docker},
    storage::Storage,
    terminal::Terminals,
    usage::UsageMeter,
};

/// How long to wait for Postgres at start.
const DATABASE_WAIT: Duration = Duration::from_secs(30);

/// What jobs and everything else use. Clones share it.
#[derive(Debug, Clone)]
pub struct Env {
    /// Name of this worker, new with every start.
    pub worker: Arc<str>,
    pub config: Arc<WorkerConfig>,
    pub db: Db,
    /// Whether database, data directory and engine belong together. If not, the worker does nothing.
    pub identity: Identity,
    pub doorbell: Doorbell,
    pub sealer: Sealer,
    pub runtime: Runtime,
    pub files: Files,
    /// For requests to gateways.
    pub http: reqwest::Client,
    pub probe: Probe,
    pub routes: Routes,
    pub terminals: Terminals,
    pub usage: UsageMeter,
    pub disk: DiskMeter,
    /// Set when the worker drains: take nothing new and stop at the next safe point.
    pub draining: CancellationToken,
}

impl Env {
    /// Opens everything and checks what must be available from the start. The error names the setting at fault. Tasks
    /// that it needs are started in `core`.
    pub async fn open(config: WorkerConfig, core: &mut CoreTasks) -> anyhow::Result<Self> {
        let sealer = Sealer::from_file(&config.secrets.key_file).context("the key file (CLAWDEPLOY_KEY_FILE)")?;
        let storage = Storage::open(&config.instances.data_dir).await.with_context(|| {
            format!("the data directory {} (CLAWDEPLOY_DATA_DIR)", config.instances.data_dir.display())
        })?;
        let docker = Docker::connect(&config.instances.docker_host, &config.instances.deployment)
            .context("the Docker engine (CLAWDEPLOY_DOCKER_HOST)")?;
        let runtime = Runtime::Docker(docker);
        let db = Db::new(&config.database).context("Postgres (CLAWDEPLOY_DATABASE_URL)")?;
        let doorbell = Doorbell::new(&config.redis).context("Redis (CLAWDEPLOY_REDIS_URL)")?;
        let http = http::local().and_then(|client| Ok(client.build()?)).context("the HTTP client")?;
        let probe = Probe::new(http.clone(), config.routing.routing);
        db.migrate_when_up(DATABASE_WAIT).await.context("Postgres (CLAWDEPLOY_DATABASE_URL)")?;
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let worker: Arc<str> = format!("{}-{}-{}", host_name(), std::process::id(), &unique[..8]).into();
        let terminals = Terminals::new(runtime.clone(), db.clone(), Arc::clone(&worker), &config.terminals);
        let disk = DiskMeter::new(storage.clone());
        let usage = UsageMeter::new(runtime.clone(), disk.clone(), db.clone(), config.instances.disk_interval);
        let identity = Identity::new(db.clone(), storage.clone(), runtime.clone(), &config.instances);
        if let Err(error) = identity.check(true).await {
            tracing::warn!(error = chain(&error), "Could not check the identities yet");
        }
        let routes = Routes::start(&config, db.clone(), identity.clone(), core).context("the HTTP client")?;
        Ok(Self {
            worker,
            config: Arc::new(config),
            db,
            identity,
            doorbell,
            sealer,
            runtime,
            files: Files::Local(storage),
            http,
            probe,
            routes,
            terminals,
            usage,
            disk,
            draining: CancellationToken::new(),
        })
    }
}

/// The name of this host.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
