//! The worker: claims jobs and does them on Docker.
//!
//! It holds what the API must not: the Docker socket and the instances' files. Any number of workers may run on one
//! database, as long as they share its data directory and its engine ([`identity`]).

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use clawdeploy_shared::{
    db::{Db, worker},
    doorbell::Doorbell,
    secret::Sealer,
    telemetry::chain,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::WorkerConfig,
    docker::Docker,
    engine::{Env, active::Active, dispatch::Dispatcher, doorbell, keeper, ledger::Ledger},
    identity::Identity,
    inside::Endpoint,
    nginx::Routes,
    probe::Probe,
    reconcile::Reconciler,
    storage::Storage,
    terminal::Terminals,
    usage::UsageMeter,
};

pub mod adopt;
pub mod commands;
pub mod config;
pub mod docker;
pub mod engine;
pub mod identity;
pub mod image;
pub mod inside;
pub mod jobs;
pub mod nginx;
pub mod observe;
pub mod probe;
pub mod reconcile;
pub mod steps;
pub mod storage;
pub mod terminal;
pub mod usage;

/// How long to wait for Postgres at start.
const DATABASE_WAIT: Duration = Duration::from_secs(30);

/// Runs until SIGTERM, SIGINT or an administrator's request to drain, then lets steps finish, hands jobs back and returns.
pub async fn run(config: WorkerConfig) -> anyhow::Result<()> {
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    clawdeploy_shared::metrics::serve(&config.metrics).context("metrics (CLAWDEPLOY_METRICS_LISTEN)")?;
    let env = environment(config).await?;
    let (active, tasks) = (Active::default(), TaskTracker::new());
    let host = host_name();
    let queues = env.config.engine.queues();
    anyhow::ensure!(
        !queues.is_empty(),
        "the worker serves no queue; set CLAWDEPLOY_LIFECYCLE_CONCURRENCY or CLAWDEPLOY_BUILD_CONCURRENCY"
    );
    let dispatchers: Vec<Dispatcher> =
        queues.iter().map(|queue| Dispatcher::new(env.clone(), *queue, active.clone(), tasks.clone())).collect();

    let mut inside =
        Endpoint::open(env.clone()).await.context("cannot listen for the API; set CLAWDEPLOY_WORKER_LISTEN")?;
    let (reap_from, may_reap_from) = watch::channel(Some(Instant::now()));
    let renewer = tokio::spawn(keeper::renew_leases(env.clone(), active.clone(), reap_from));
    let beats = tokio::spawn(keeper::beat(env.clone(), active.clone(), host, inside.address.clone()));
    tokio::spawn(keeper::sweep(env.clone(), dispatchers.clone(), may_reap_from));
    let reconciler = Reconciler::new(env.clone());
    tokio::spawn(reconciler.clone().watch());
    tokio::spawn(reconciler.run());
    tokio::spawn(env.identity.clone().watch(env.draining.clone()));
    tokio::spawn(env.terminals.clone().watch(env.draining.clone(), env.identity.clone()));
    tokio::spawn(env.usage.clone().run(env.draining.clone(), env.identity.clone()));
    for dispatcher in dispatchers {
        tokio::spawn(dispatcher.clone().run());
        tokio::spawn(doorbell::listen(env.clone(), dispatcher));
    }
    // Where it stands by, an error says so already.
    if env.identity.belongs() {
        tracing::info!(worker = %env.worker, ?queues, version = env!("CARGO_PKG_VERSION"), "Worker is ready");
    }

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = env.draining.cancelled() => {}
    }
    tracing::info!(running = active.len(), "Draining: taking nothing new");
    env.draining.cancel();
    tasks.close();
    let ended = async { tokio::join!(tasks.wait(), inside.closed(), env.terminals.close_all()) };
    if tokio::time::timeout(env.config.engine.grace, ended).await.is_err() {
        tracing::warn!(running = active.len(), "The grace time is over; leaving the rest to other workers");
        active.lose_overdue(Duration::ZERO);
        let _ = tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await;
    }
    renewer.abort();
    beats.abort();
    let gone: Result<(), clawdeploy_shared::db::DbError> =
        async { worker::remove(&mut *env.db.conn().await?, &env.worker).await }.await;
    if let Err(error) = gone {
        tracing::warn!(error = chain(&error), "Could not sign off");
    }
    tracing::info!("Worker ended");
    Ok(())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Everything that jobs work with, checked as far as it must be there from the start.
async fn environment(config: WorkerConfig) -> anyhow::Result<Env> {
    let sealer = Sealer::from_file(&config.secrets.key_file).context("the key file (CLAWDEPLOY_KEY_FILE)")?;
    let storage = Storage::open(&config.instances.data_dir)
        .await
        .with_context(|| format!("the data directory {} (CLAWDEPLOY_DATA_DIR)", config.instances.data_dir.display()))?;
    let docker = Docker::connect(&config.instances.docker_host, &config.instances.deployment)
        .context("the Docker engine (CLAWDEPLOY_DOCKER_HOST)")?;
    let db = Db::new(&config.database).context("Postgres (CLAWDEPLOY_DATABASE_URL)")?;
    let doorbell = Doorbell::new(&config.redis).context("Redis (CLAWDEPLOY_REDIS_URL)")?;
    let probe = Probe::new(config.routing.routing).context("the HTTP client")?;
    db.migrate_when_up(DATABASE_WAIT).await.context("Postgres (CLAWDEPLOY_DATABASE_URL)")?;
    let host = host_name();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let worker = format!("{host}-{}-{}", std::process::id(), &unique[..8]);
    let ledger = Ledger::start(db.clone(), worker.clone());
    let worker: Arc<str> = Arc::from(worker);
    let terminals = Terminals::new(docker.clone(), db.clone(), Arc::clone(&worker), &config.terminals);
    let usage = UsageMeter::new(docker.clone(), storage.clone(), db.clone());
    let identity = Identity::new(db.clone(), storage.clone(), docker.clone(), &config.instances);
    if let Err(error) = identity.check(true).await {
        tracing::warn!(error = chain(&error), "Could not look at what belongs together yet");
    }
    let routes = Routes::start(&config, db.clone(), identity.clone()).context("the HTTP client")?;
    Ok(Env {
        worker,
        config: Arc::new(config),
        db,
        identity,
        doorbell,
        sealer,
        docker,
        storage,
        probe,
        routes,
        ledger,
        terminals,
        usage,
        draining: CancellationToken::new(),
    })
}
