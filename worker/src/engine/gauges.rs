//! Gauges for Prometheus about the whole installation. Every worker exports the same values.

use std::collections::HashMap;

use clawdeploy_shared::{
    db::{
        DbError,
        firewall::{self, FirewallState},
        host, queue_stats,
    },
    job::{JobKind, Queue},
    metrics::{FIREWALL, HOST_MEMORY_LIMIT, HOST_MEMORY_PROMISED, QUEUE_JOBS, QUEUE_OLDEST_SECONDS},
};

use crate::env::Env;

/// Exports how many jobs each queue holds.
pub(super) async fn queues(env: &Env) -> Result<(), DbError> {
    let counts = queue_stats::counts(&mut *env.db.conn().await?).await?;
    let mut oldest: HashMap<&str, f64> = Queue::ALL.iter().map(|queue| (queue.as_str(), 0.0)).collect();
    // Every kind, so that the gauge of an empty one returns to zero.
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

/// Exports the state of the instances' firewall, whichever worker tested it.
pub(super) async fn firewall(env: &Env) -> Result<(), DbError> {
    let now = firewall::current(&mut *env.db.conn().await?).await?.state;
    for state in FirewallState::ALL {
        metrics::gauge!(FIREWALL, "state" => state.as_str()).set(if *state == now { 1.0 } else { 0.0 });
    }
    Ok(())
}

/// Exports how much of the host's memory is promised to instances.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(super) async fn memory(env: &Env) -> Result<(), DbError> {
    let memory = host::memory(&mut *env.db.conn().await?, None).await?;
    let limit_mb = env.config.capacity.of(memory).map_or(0, |capacity| capacity.limit_mb);
    metrics::gauge!(HOST_MEMORY_LIMIT).set((limit_mb << 20) as f64);
    metrics::gauge!(HOST_MEMORY_PROMISED).set((memory.promised_mb << 20) as f64);
    Ok(())
}
