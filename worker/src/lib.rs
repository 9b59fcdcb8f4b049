//! The worker: claims jobs and does them on Docker.
//!
//! It holds what the API must not: the Docker socket and the instances' files. Any number of workers may share a
//! database if they share its data directory and engine ([`identity`]).
//!
//! Imports go one way: the [`engine`] imports plans ([`jobs`]), plans import [`steps`], steps import what they are
//! given ([`job`]). The modules for what gateways run on ([`runtime`]), for their files ([`files`], [`storage`]) and
//! for images ([`image`]) import none of these.

use std::time::Duration;

use anyhow::Context as _;
use clawdeploy_shared::{
    db::{DbError, worker},
    telemetry::chain,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::{
    config::WorkerConfig,
    engine::{active::Active, completion::CompletionBatch, dispatch::Dispatcher, doorbell, heartbeat, reaper},
    env::{Env, host_name},
    reconcile::Reconciler,
    rpc::Endpoint,
};

pub mod adopt;
pub mod commands;
pub mod config;
pub mod engine;
pub mod env;
pub mod files;
pub mod identity;
pub mod image;
pub mod job;
pub mod jobs;
mod kill_point;
pub mod nginx;
pub mod observe;
pub mod probe;
pub mod reconcile;
pub mod rpc;
pub mod runtime;
pub mod steps;
pub mod storage;
pub mod terminal;
pub mod usage;

/// Runs until SIGTERM, SIGINT or an administrator's drain, then lets steps finish, hands jobs back and returns.
pub async fn run(config: WorkerConfig) -> anyhow::Result<()> {
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    clawdeploy_shared::metrics::serve(&config.metrics).context("metrics (CLAWDEPLOY_METRICS_LISTEN)")?;
    let env = Env::open(config).await?;
    let (active, tasks) = (Active::default(), TaskTracker::new());
    let completions = CompletionBatch::start(env.db.clone(), env.worker.to_string());
    let queues = env.config.engine.queues();
    anyhow::ensure!(
        !queues.is_empty(),
        "the worker serves no queue; set CLAWDEPLOY_LIFECYCLE_CONCURRENCY or CLAWDEPLOY_BUILD_CONCURRENCY"
    );
    let dispatcher = |queue| Dispatcher::new(env.clone(), queue, active.clone(), tasks.clone(), completions.clone());
    let dispatchers: Vec<Dispatcher> = queues.iter().copied().map(dispatcher).collect();

    let mut rpc =
        Endpoint::open(env.clone()).await.context("cannot listen for the API; set CLAWDEPLOY_WORKER_LISTEN")?;
    let (reap_from, may_reap_from) = watch::channel(Some(Instant::now()));
    let renewer = tokio::spawn(heartbeat::renew_leases(env.clone(), active.clone(), reap_from));
    let beats = tokio::spawn(heartbeat::beat(env.clone(), active.clone(), host_name(), rpc.address.clone()));
    tokio::spawn(reaper::run(env.clone(), dispatchers.clone(), may_reap_from));
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
    // If it stands by, an error was already logged.
    if env.identity.belongs() {
        tracing::info!(worker = %env.worker, ?queues, version = env!("CARGO_PKG_VERSION"), "Worker is ready");
    }

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = env.draining.cancelled() => {}
    }
    tracing::info!(running = active.len(), "Draining: taking no new jobs");
    env.draining.cancel();
    tasks.close();
    let ended = async { tokio::join!(tasks.wait(), rpc.closed(), env.terminals.close_all()) };
    if tokio::time::timeout(env.config.engine.grace, ended).await.is_err() {
        tracing::warn!(running = active.len(), "The grace period is over; leaving the rest to other workers");
        active.lose_overdue(Duration::ZERO);
        let _ = tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await;
    }
    renewer.abort();
    beats.abort();
    let gone: Result<(), DbError> = async { worker::remove(&mut *env.db.conn().await?, &env.worker).await }.await;
    if let Err(error) = gone {
        tracing::warn!(error = chain(&error), "Could not unregister the worker");
    }
    tracing::info!("Worker stopped");
    Ok(())
}
