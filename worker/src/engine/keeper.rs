//! Keeps what runs here alive, and takes over what vanished workers left.
//!
//! Two loops: one renews leases and the worker's own row, at a third of the lease, so that two renewals may fail before
//! anything is lost; the other takes back the leases that ran out and looks for due jobs that no ring announced. After a
//! silence of the database, which the renewals notice, it leaves the leases alone until their holders have had the time to
//! renew them: most of them ran out because nobody could.

use std::{collections::HashMap, time::Duration};

use clawdeploy_shared::{
    db::{
        DbError,
        firewall::{self, FirewallState},
        lease, queue_stats,
        worker::{self, WorkerBeat},
    },
    inside::Address,
    job::{JobKind, Queue},
    metrics::{FIREWALL, LEASES_REAPED, QUEUE_JOBS, QUEUE_OLDEST_SECONDS},
    telemetry::chain,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{active::Active, dispatch::Dispatcher, prune};
use crate::env::Env;

/// From when on leases that ran out are taken back; never while the database does not answer.
pub type ReapFrom = Option<Instant>;

/// Renews until the tracked tasks are done; `main` aborts it then.
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
        // The database cannot tell us, but by our own clock these leases have run out: others may act by now.
        let lost = active.lose_overdue(lease);
        if lost > 0 {
            tracing::error!(jobs = lost, "Leases ran out unrenewed; stopping their jobs");
        }
    }
}

async fn renew_once(env: &Env, active: &Active) -> Result<(), DbError> {
    // Taken before the query: what is claimed meanwhile is not missed in its answer.
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
            // Ended in this moment, or lost; for one that ended the signal goes nowhere.
            None => signals.lost.cancel(),
        }
    }
    Ok(())
}

/// Tells the other workers and the admins that this one lives.
pub async fn beat(env: Env, active: Active, host: String, address: Address) {
    let mut tick = interval(Duration::from_secs(2));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let docker_error = match timeout(Duration::from_secs(3), env.runtime.ping()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some("it does not answer".to_owned()),
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
        };
        let asked_to_drain =
            within(engine.lease, async { worker::beat(&mut *env.db.conn().await?, &beat).await }).await;
        match asked_to_drain {
            Ok(true) if !env.draining.is_cancelled() => {
                tracing::info!("An administrator asked this worker to drain");
                env.draining.cancel();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = chain(&error), "Could not write a sign of life"),
        }
    }
}

/// Tells Prometheus how the queues stand.
async fn measure_queues(env: &Env) -> Result<(), DbError> {
    let counts = queue_stats::counts(&mut *env.db.conn().await?).await?;
    let mut oldest: HashMap<&str, f64> = Queue::ALL.iter().map(|queue| (queue.as_str(), 0.0)).collect();
    // Every kind, so that one of which nothing is left goes back to zero.
    for kind in JobKind::ALL {
        let queue = kind.queue().as_str();
        let count = counts.iter().find(|count| count.kind == *kind);
        let (due, delayed, running) = count.map_or((0, 0, 0), |c| (c.waiting, c.delayed, c.running));
        for (state, jobs) in [("due", due), ("delayed", delayed), ("running", running)] {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and no queue holds 2^52 jobs")]
            metrics::gauge!(QUEUE_JOBS, "queue" => queue, "kind" => kind.as_str(), "state" => state).set(jobs as f64);
        }
        let age = oldest.entry(queue).or_default();
        *age = age.max(count.and_then(|c| c.oldest_waiting_seconds).unwrap_or(0.0));
    }
    for (queue, age) in oldest {
        metrics::gauge!(QUEUE_OLDEST_SECONDS, "queue" => queue).set(age);
    }
    Ok(())
}

/// Tells Prometheus how the instances' firewall is, whichever worker has looked.
async fn measure_firewall(env: &Env) -> Result<(), DbError> {
    let now = firewall::current(&mut *env.db.conn().await?).await?.state;
    for state in FirewallState::ALL {
        metrics::gauge!(FIREWALL, "state" => state.as_str()).set(if *state == now { 1.0 } else { 0.0 });
    }
    Ok(())
}

/// Takes back leases and looks for work until the worker drains.
pub async fn sweep(env: Env, dispatchers: Vec<Dispatcher>, reap_from: watch::Receiver<ReapFrom>) {
    let mut tick = interval(env.config.engine.sweep);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_chores = Instant::now();
    while !env.draining.is_cancelled() {
        tick.tick().await;
        if !env.identity.belongs() {
            continue;
        }
        let may_reap = reap_from.borrow().is_some_and(|from| from <= Instant::now());
        // One that takes longer may be late: the database stood still meanwhile, and the holders are first.
        if may_reap && let Err(error) = within(env.config.engine.lease / 3, reap(&env)).await {
            tracing::warn!(error = chain(&error), "Could not take back leases");
            continue;
        }
        for dispatcher in &dispatchers {
            dispatcher.look();
        }
        if last_chores.elapsed() > Duration::from_secs(10) {
            last_chores = Instant::now();
            chores(&env, &dispatchers).await;
        }
    }
}

/// A connection that is dead without a word would be waited for as long as the kernel believes in it.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
    timeout(limit, work).await.unwrap_or(Err(DbError::Timeout))
}

async fn reap(env: &Env) -> Result<(), DbError> {
    for lost in lease::reap(&mut *env.db.conn().await?).await? {
        tracing::warn!(job.id = %lost.id, job.crashes = lost.crashes, worker = lost.worker, "Took a job back from a vanished worker");
        metrics::counter!(LEASES_REAPED).increment(1);
        env.doorbell.ring(lost.queue, lost.id);
    }
    Ok(())
}

async fn chores(env: &Env, dispatchers: &[Dispatcher]) {
    let lease = env.config.engine.lease;
    if let Err(error) = within(lease, measure_queues(env)).await {
        tracing::warn!(error = chain(&error), "Could not measure the queues");
    }
    if let Err(error) = within(lease, measure_firewall(env)).await {
        tracing::warn!(error = chain(&error), "Could not read how the firewall is");
    }
    for dispatcher in dispatchers {
        if let Err(error) = prune::prune(&env.doorbell, dispatcher.queue).await {
            tracing::debug!(error = chain(&error), "Could not take finished rings out of Redis");
        }
    }
    let forgotten = within(lease, async { worker::forget_dead(&mut *env.db.conn().await?).await });
    if let Err(error) = forgotten.await {
        tracing::warn!(error = chain(&error), "Could not forget dead workers");
    }
}
