//! Takes back the jobs of vanished workers and polls for due jobs whose ring was lost.
//!
//! After an outage of the database, which the [renewals](super::heartbeat) notice, it leaves leases alone until their
//! holders have had time to renew them: most leases expired because nobody could renew them.

use clawdeploy_shared::{
    db::{DbError, lease},
    metrics::LEASES_REAPED,
    telemetry::chain,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{dispatch::Dispatcher, within};
use crate::env::Env;

/// When expired leases may be taken back; `None` while the database does not answer.
pub type ReapFrom = Option<Instant>;

/// Takes back leases and polls for work until the worker drains.
pub async fn run(env: Env, dispatchers: Vec<Dispatcher>, reap_from: watch::Receiver<ReapFrom>) {
    let mut tick = interval(env.config.engine.sweep);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !env.draining.is_cancelled() {
        tick.tick().await;
        if !env.identity.belongs() {
            continue;
        }
        let may_reap = reap_from.borrow().is_some_and(|from| from <= Instant::now());
        // A slow query may mean that the database stood still, and then the holders renew first.
        if may_reap && let Err(error) = within(env.config.engine.lease / 3, reap(&env)).await {
            tracing::warn!(error = chain(&error), "Could not reap expired leases");
            continue;
        }
        for dispatcher in &dispatchers {
            dispatcher.look();
        }
    }
}

async fn reap(env: &Env) -> Result<(), DbError> {
    for lost in lease::reap(&mut *env.db.conn().await?).await? {
        tracing::warn!(job.id = %lost.id, job.crashes = lost.crashes, worker = lost.worker, "Took back a job from a worker that vanished");
        metrics::counter!(LEASES_REAPED).increment(1);
        env.doorbell.ring(lost.queue, lost.id);
    }
    Ok(())
}
