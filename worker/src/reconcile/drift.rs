//! Drift: containers that crashed, were stopped, paused or removed behind our back, or came back to life.
//!
//! An instance counts as drifted when no job is open on it and its container shows another status than its row. The
//! row is corrected; nothing is done to the container. Every worker watches; the write is guarded, so that it does not
//! matter which of them comes first.

use std::time::Duration;

use clawdeploy_shared::{
    db::{Scope, instance, job},
    ids::InstanceId,
    instance::InstanceStatus,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use futures_util::StreamExt as _;
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    docker::{DockerError, InstanceAction},
    engine::{Env, error::StepError},
    observe,
};

/// Between two looks at everything, for what no event told.
const PERIOD: Duration = Duration::from_secs(10);

/// Between two tries to listen to Docker's events.
const RECONNECT: Duration = Duration::from_secs(2);

/// Statuses whose instances should have a container to look at.
const WATCHED: [InstanceStatus; 5] = [
    InstanceStatus::Running,
    InstanceStatus::Starting,
    InstanceStatus::Stopping,
    InstanceStatus::Stopped,
    InstanceStatus::Error,
];

/// Watches until the worker drains.
pub async fn watch(env: Env) {
    let mut tick = interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !env.draining.is_cancelled() {
        let mut events = match env.docker.events().await {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(error = chain(&error), "Could not listen to Docker's events");
                tokio::time::sleep(RECONNECT).await;
                continue;
            }
        };
        loop {
            tokio::select! {
                () = env.draining.cancelled() => return,
                _ = tick.tick() => sweep(&env).await,
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        tracing::debug!(instance.id = %event.instance, action = ?event.action, "Docker told of a change");
                        if event.action != InstanceAction::Oom {
                            check(&env, &event.instance).await;
                        }
                    }
                    Some(Err(error)) => {
                        tracing::warn!(error = chain(&error), "Docker's events ended");
                        break;
                    }
                    None => break,
                },
            }
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Looks at every instance that should have a container.
pub async fn sweep(env: &Env) {
    let listed = async { instance::list_by_status(&mut *env.db.conn().await?, &WATCHED).await };
    match listed.await {
        Ok(instances) => {
            for instance in instances.into_iter().filter(|i| i.container_id.is_some()) {
                check(env, &instance.id).await;
            }
        }
        Err(error) => tracing::warn!(error = chain(&error), "Could not list the instances"),
    }
}

/// Looks at one instance and corrects its row.
async fn check(env: &Env, id: &InstanceId) {
    match correct(env, id).await {
        Ok(Some((from, to))) => {
            tracing::info!(instance.id = %id, %from, %to, "An instance changed by itself");
        }
        Ok(None) => {}
        Err(StepError::Transient(failure)) if failure.source.as_ref().is_some_and(|s| s.is::<DockerError>()) => {
            tracing::debug!(instance.id = %id, error = chain(&failure), "Could not look at a container");
        }
        Err(error) => tracing::warn!(instance.id = %id, error = chain(&error), "Could not check an instance"),
    }
}

async fn correct(env: &Env, id: &InstanceId) -> Result<Option<(InstanceStatus, InstanceStatus)>, StepError> {
    let mut conn = env.db.conn().await?;
    let Some((before, _)) = instance::find(&mut conn, Scope::Everything, id).await? else { return Ok(None) };
    if !WATCHED.contains(&before.status)
        || before.container_id.is_none()
        || !job::open_on(&mut conn, id).await?.is_empty()
    {
        return Ok(None);
    }
    drop(conn);
    let seen = observe::observe(env, id).await?;
    let error_changed = seen.fault().map(|f| f.code.to_owned()) != before.error_code;
    // What failed stays in error until its container is seen well: a stopped container is no news about a failure.
    let stays_in_error = before.status == InstanceStatus::Error
        && seen.status != InstanceStatus::Running
        && !is_drift_error(before.error_code.as_deref());
    if stays_in_error || (seen.status == before.status && !(seen.status == InstanceStatus::Error && error_changed)) {
        return Ok(None);
    }
    let mut conn = env.db.conn().await?;
    let changed: bool = conn
        .transaction::<_, StepError, _>(async |conn| {
            // The row is locked as a request locks it, so that no job comes in between.
            let now = instance::find_for_update(conn, Scope::Everything, id).await?;
            let same = now.is_some_and(|now| now.status == before.status && now.container_id == before.container_id);
            if !same || !job::open_on(conn, id).await?.is_empty() {
                return Ok(false);
            }
            Ok(instance::set_status(conn, id, seen.status, seen.fault()).await?)
        })
        .await?;
    Ok(changed.then_some((before.status, seen.status)))
}

/// Whether an error was written by this sweep, and so may be taken back by it.
fn is_drift_error(code: Option<&str>) -> bool {
    matches!(
        code,
        Some("container_gone" | "container_paused" | "gateway_exited" | "gateway_crash_loop" | "gateway_out_of_memory")
    )
}
