//! Removes finished rings from Redis and dead workers from the database, and updates metrics.
//!
//! A task of its own: the reaper must not wait for Redis. Each piece of work has a time limit and does not depend on
//! the others.

use std::time::Duration;

use clawdeploy_shared::{
    db::{DbError, worker},
    doorbell::DoorbellError,
    job::Queue,
    telemetry::chain,
};
use tokio::time::timeout;

use super::{gauges, prune, within};
use crate::{env::Env, rounds::Rounds};

/// Delay between two rounds.
const PERIOD: Duration = Duration::from_secs(10);

/// Time limit for each piece of work.
const LIMIT: Duration = Duration::from_secs(5);

/// Why finished rings could not be removed.
#[derive(Debug, thiserror::Error)]
enum PruneError {
    #[error(transparent)]
    Redis(#[from] DoorbellError),
    #[error("Redis took longer than {} s", LIMIT.as_secs())]
    TooSlow,
}

/// Does its work every ten seconds until the worker drains.
pub async fn run(env: Env, queues: Vec<Queue>) {
    let mut rounds = Rounds::new(PERIOD, env.draining.clone(), env.identity.clone());
    while rounds.next().await {
        if let Err(error) = within(LIMIT, gauges::queues(&env)).await {
            tracing::warn!(error = chain(&error), "Could not measure the queues");
        }
        if let Err(error) = within(LIMIT, gauges::firewall(&env)).await {
            tracing::warn!(error = chain(&error), "Could not read the state of the firewall");
        }
        if let Err(error) = within(LIMIT, gauges::memory(&env)).await {
            tracing::warn!(error = chain(&error), "Could not read how much memory is promised");
        }
        if let Err(error) = within(LIMIT, forget_dead_workers(&env)).await {
            tracing::warn!(error = chain(&error), "Could not forget dead workers");
        }
        for queue in &queues {
            if let Err(error) = prune(&env, *queue).await {
                tracing::debug!(error = chain(&error), %queue, "Could not remove finished rings from Redis");
            }
        }
    }
}

async fn forget_dead_workers(env: &Env) -> Result<(), DbError> {
    worker::forget_dead(&mut *env.db.conn().await?).await.map(drop)
}

async fn prune(env: &Env, queue: Queue) -> Result<(), PruneError> {
    timeout(LIMIT, prune::prune(&env.doorbell, queue)).await.map_err(|_| PruneError::TooSlow)?.map(drop)?;
    Ok(())
}
