//! Renews the leases of this worker's jobs and writes the worker's heartbeat.
//!
//! Leases are renewed at a third of their length, so that two renewals may fail before a lease is lost. A failed
//! renewal also tells the [reaper](super::reaper) to wait.

use std::{collections::HashMap, time::Duration};

use clawdeploy_shared::{
    db::{
        DbError, lease,
        worker::{self, WorkerBeat},
    },
    rpc::Address,
    telemetry::chain,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{active::Active, reaper::ReapFrom, within};
use crate::{env::Env, runtime::RuntimeError};

/// Renews leases until the tracked tasks are done; `main` then aborts it.
pub async fn renew_leases(env: Env, active: Active, reap_from: watch::Sender<ReapFrom>) {
    let lease = env.config.engine.lease;
    let mut tick = interval(lease / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match within(lease / 3, renew_once(&env, &active)).await {
            Ok(()) => reap_from.send_modify(|from| *from = from.or_else(|| Some(Instant::now() + lease))),
            Err(error) => {
                tracing::warn!(error = chain(&error), "Could not renew leases");
                reap_from.send_replace(None);
            }
        }
        // The database cannot be asked, but by this process's clock these leases have expired and others may act.
        let lost = active.lose_overdue(lease);
        if lost > 0 {
            tracing::error!(jobs = lost, "Leases expired before they could be renewed; stopping their jobs");
        }
    }
}

async fn renew_once(env: &Env, active: &Active) -> Result<(), DbError> {
    // Taken before the query, so that jobs claimed in the meantime do not count as lost.
    let running = active.snapshot();
    let asked_at = Instant::now();
    let jobs: Vec<_> = running.iter().map(|(job, ..)| *job).collect();
    let mut conn = env.db.conn().await?;
    let renewed = lease::renew(&mut conn, &env.worker, &jobs, env.config.engine.lease).await?;
    let renewed: HashMap<_, _> = renewed.into_iter().map(|r| ((r.id, r.attempt), r.cancel_requested)).collect();
    for (job, attempt, signals) in running {
        match renewed.get(&(job, attempt)) {
            Some(cancel_requested) => {
                active.renewed(job, attempt, asked_at);
                if *cancel_requested {
                    signals.cancel.cancel();
                }
            }
            None => signals.not_renewed(),
        }
    }
    Ok(())
}

/// Writes the heartbeat that other workers and administrators see.
pub async fn beat(env: Env, active: Active, host: String, address: Address) {
    let mut tick = interval(Duration::from_secs(2));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let (docker_error, memory_mb) = match timeout(Duration::from_secs(3), engine_state(&env)).await {
            Ok(Ok(memory_mb)) => (None, memory_mb),
            Ok(Err(error)) => (Some(chain(&error)), None),
            Err(_) => (Some("it does not answer".to_owned()), None),
        };
        let engine = &env.config.engine;
        let queues = engine.queues();
        let standby = env.identity.standby();
        let beat = WorkerBeat {
            id: env.worker.to_string(),
            host: host.clone(),
            pid: i32::try_from(std::process::id()).unwrap_or(0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: queues.iter().map(ToString::to_string).collect(),
            concurrency: queues.iter().map(|q| i32::try_from(engine.concurrency(*q)).unwrap_or(i32::MAX)).sum(),
            running: i32::try_from(active.len()).unwrap_or(i32::MAX),
            draining: env.draining.is_cancelled(),
            docker_error,
            address: Some(address.to_string()),
            standby_code: standby.as_ref().map(|standby| standby.code.to_string()),
            standby_message: standby.map(|standby| standby.message),
            memory_mb,
        };
        let asked_to_drain =
            within(engine.lease, async { worker::beat(&mut *env.db.conn().await?, &beat).await }).await;
        match asked_to_drain {
            Ok(true) if !env.draining.is_cancelled() => {
                tracing::info!("An administrator asked this worker to drain");
                env.draining.cancel();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = chain(&error), "Could not write the heartbeat"),
        }
    }
}

/// Checks that the engine answers, and returns the memory of its host in MiB.
async fn engine_state(env: &Env) -> Result<Option<i32>, RuntimeError> {
    env.runtime.ping().await?;
    env.runtime.memory_mb().await
}
