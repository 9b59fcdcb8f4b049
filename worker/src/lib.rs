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
    core_tasks::{CoreTask, CoreTasks},
    engine::{
        active::Active, completion::CompletionBatch, dispatch::Dispatcher, doorbell, heartbeat, housekeeping, reaper,
    },
    env::{Env, host_name},
    reconcile::Reconciler,
    rpc::Endpoint,
};

pub mod adopt;
pub mod commands;
pub mod config;
pub mod core_tasks;
pub mod disk_meter;
pub mod engine;
pub mod env;
pub mod files;
mod gateway_rpc;
pub mod identity;
pub mod image;
pub mod job;
pub mod jobs;
mod kill_point;
pub mod nginx;
pub mod observe;
pub mod preflight;
pub mod probe;
pub mod reconcile;
pub mod retention;
mod rounds;
pub mod rpc;
pub mod runtime;
pub mod sleep;
pub mod steps;
pub mod storage;
pub mod terminal;
pub mod usage;
pub mod warm_pool;

/// Runs until SIGTERM, SIGINT or an administrator's drain, then lets steps finish, hands jobs back and returns. If a
/// part of the worker fails, it does the same and returns that error.
pub async fn run(config: WorkerConfig) -> anyhow::Result<()> {
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    clawdeploy_shared::metrics::serve(&config.metrics).context("metrics (CLAWDEPLOY_METRICS_LISTEN)")?;
    let mut core = CoreTasks::default();
    let env = Env::open(config, &mut core).await?;
    let (active, tasks) = (Active::default(), TaskTracker::new());
    let completions = CompletionBatch::start(env.db.clone(), env.worker.to_string(), &mut core);
    let queues = env.config.engine.queues();
    anyhow::ensure!(
        !queues.is_empty(),
        "the worker serves no queue; set CLAWDEPLOY_LIFECYCLE_CONCURRENCY or CLAWDEPLOY_BUILD_CONCURRENCY"
    );
    let dispatcher = |queue| Dispatcher::new(env.clone(), queue, active.clone(), tasks.clone(), completions.clone());
    let dispatchers: Vec<Dispatcher> = queues.iter().copied().map(dispatcher).collect();

    // In a task of its own: what it asks may be slow, and jobs need not wait for it.
    tasks.spawn({
        let env = env.clone();
        async move {
            tokio::select! {
                () = preflight::log(&env.config) => {}
                () = env.draining.cancelled() => {}
            }
        }
    });
    let rpc = Endpoint::open(env.clone(), &mut core)
        .await
        .context("cannot listen for the API; set CLAWDEPLOY_WORKER_LISTEN")?;
    let (reap_from, may_reap_from) = watch::channel(Some(Instant::now()));
    core.spawn(CoreTask::Leases, heartbeat::renew_leases(env.clone(), active.clone(), reap_from));
    let address = rpc.address.clone();
    core.spawn(CoreTask::Heartbeat, heartbeat::beat(env.clone(), active.clone(), host_name(), address));
    core.spawn(CoreTask::Reaper, reaper::run(env.clone(), dispatchers.clone(), may_reap_from));
    core.spawn(CoreTask::Housekeeping, housekeeping::run(env.clone(), queues.clone()));
    let reconciler = Reconciler::new(env.clone());
    core.spawn(CoreTask::Events, reconciler.clone().watch());
    core.spawn(CoreTask::Reconciler, reconciler.run());
    core.spawn(CoreTask::Retention, retention::run(env.clone()));
    core.spawn(CoreTask::Sleep, sleep::run(env.clone()));
    core.spawn(CoreTask::WarmPool, warm_pool::run(env.clone()));
    let draining = || env.draining.clone();
    core.spawn(CoreTask::Identity, env.identity.clone().watch(draining()));
    core.spawn(CoreTask::Terminals, env.terminals.clone().watch(draining(), env.identity.clone()));
    core.spawn(CoreTask::Usage, env.usage.clone().run(draining(), env.identity.clone()));
    for dispatcher in dispatchers {
        core.spawn(CoreTask::Dispatcher, dispatcher.clone().run());
        core.spawn(CoreTask::Doorbell, doorbell::listen(env.clone(), dispatcher));
    }
    // If it stands by, an error was already logged.
    if env.identity.belongs() {
        tracing::info!(worker = %env.worker, ?queues, version = env!("CARGO_PKG_VERSION"), "Worker is ready");
    }

    let failed = tokio::select! {
        // First: once the worker drains, core tasks end as they should.
        biased;
        () = env.draining.cancelled() => None,
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = core.first_end() => Some(ended),
    };
    if let Some(failed) = &failed {
        tracing::error!(
            error = chain(failed),
            "A part of the worker failed; it stops, and other workers take its jobs"
        );
        if failed.task == CoreTask::Leases {
            // Nobody renews them any more.
            active.lose_overdue(Duration::ZERO);
        }
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
    // Before the row is removed: a heartbeat would write it again.
    core.abort_all().await;
    let gone: Result<(), DbError> = async { worker::remove(&mut *env.db.conn().await?, &env.worker).await }.await;
    if let Err(error) = gone {
        tracing::warn!(error = chain(&error), "Could not unregister the worker");
    }
    tracing::info!("Worker stopped");
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}
