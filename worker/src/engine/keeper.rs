//! Keeps what runs here alive, and takes over what vanished workers left.
//!
//! Two loops: one renews leases and the worker's own row, at a third of the lease, so that two renewals may fail before
//! anything is lost; the other takes back the leases that ran out and looks for due jobs that no ring announced. After a
//! silence of the database it leaves the leases alone for a while: most of them ran out because nobody could renew them.

use std::{collections::HashMap, time::Duration};

use clawdeploy_shared::{
    db::{
        DbError, lease, queue_stats,
        worker::{self, WorkerBeat},
    },
    inside::Address,
    job::{JobKind, Queue},
    metrics::{LEASES_REAPED, QUEUE_JOBS, QUEUE_OLDEST_SECONDS},
    telemetry::chain,
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Env, active::Active, dispatch::Dispatcher, prune};

/// Renews until the tracked tasks are done; `main` aborts it then.
pub async fn renew_leases(env: Env, active: Active) {
    let lease = env.config.engine.lease;
    let mut tick = interval(lease / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match timeout(lease / 3, renew_once(&env, &active)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "Could not renew leases"),
            Err(_) => tracing::warn!("Could not renew leases in time"),
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
        let docker_error = match timeout(Duration::from_secs(3), env.docker.ping()).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some("it does not answer".to_owned()),
        };
        let engine = &env.config.engine;
        let queues = engine.queues();
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

/// Takes back leases and looks for work until the worker drains.
pub async fn sweep(env: Env, dispatchers: Vec<Dispatcher>) {
    let mut tick = interval(env.config.engine.sweep);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_chores = Instant::now();
    let mut reap_from = last_chores;
    while !env.draining.is_cancelled() {
        tick.tick().await;
        if !answers(&env).await {
            // Leases ran out because nobody could renew them: their holders live, and are first.
            reap_from = Instant::now() + env.config.engine.lease;
        } else if Instant::now() >= reap_from
            && let Err(error) = within(env.config.engine.lease, reap(&env)).await
        {
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

/// Whether the database answers in the time in which a lease is renewed.
async fn answers(env: &Env) -> bool {
    let asked_at = Instant::now();
    let answered = within(env.config.engine.lease, async { env.db.ping().await }).await;
    if let Err(error) = &answered {
        tracing::warn!(error = chain(error), "The database does not answer");
    }
    answered.is_ok() && asked_at.elapsed() < env.config.engine.lease / 3
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
    if let Err(error) = measure_queues(env).await {
        tracing::warn!(error = chain(&error), "Could not measure the queues");
    }
    for dispatcher in dispatchers {
        if let Err(error) = prune::prune(&env.doorbell, dispatcher.queue).await {
            tracing::debug!(error = chain(&error), "Could not take finished rings out of Redis");
        }
    }
    let forgotten: Result<usize, DbError> = async { worker::forget_dead(&mut *env.db.conn().await?).await }.await;
    if let Err(error) = forgotten {
        tracing::warn!(error = chain(&error), "Could not forget dead workers");
    }
}
