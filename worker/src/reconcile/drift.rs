//! Drift: containers that crashed or were stopped, paused, removed or started by something else.
//!
//! An instance has drifted if it has no open job, its row names a container, and that container shows another status
//! than the row or another reason for an error. The row is corrected. The container is not touched, unless its gateway
//! is in a crash loop (see [`super::crash_loop`]).
//!
//! An instance with a stuck change is left for an administrator.
//!
//! An error from a job or the breaker stays until the gateway answers: a stopped container is no news about it.
//!
//! Every worker follows Docker's events and checks the instance of each event. The sweep checks all instances, for
//! missed events. The write is guarded, so the order does not matter.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        Scope,
        instance::{self, Instance},
        job, snapshot,
        sweep::SweepReport,
    },
    ids::InstanceId,
    instance::InstanceStatus,
    job::JobStatus,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;
use futures_util::{StreamExt as _, stream};

use super::{
    SweepError, SweepResult,
    crash_loop::{self, Deaths, break_loop, newest_job},
};
use crate::{
    env::Env,
    observe::{self, Observed},
    runtime::InstanceAction,
};

/// Delay before subscribing to Docker's events again.
const RECONNECT: Duration = Duration::from_secs(2);

/// Instances checked at once: a hanging gateway takes twenty seconds to detect.
const SIDE_BY_SIDE: usize = 32;

/// Statuses with which an instance should have a container.
const WATCHED: [InstanceStatus; 5] = [
    InstanceStatus::Running,
    InstanceStatus::Starting,
    InstanceStatus::Stopping,
    InstanceStatus::Stopped,
    InstanceStatus::Error,
];

/// A correction of a row.
#[derive(Debug)]
struct Correction {
    from: InstanceStatus,
    to: InstanceStatus,
    /// Code of its current error.
    error: Option<String>,
}

/// Follows Docker's events until the worker drains.
pub(super) async fn watch(env: &Env, deaths: &Deaths) {
    while !env.draining.is_cancelled() {
        let mut events = match env.runtime.events().await {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(error = chain(&error), "Could not subscribe to Docker's events");
                tokio::time::sleep(RECONNECT).await;
                continue;
            }
        };
        loop {
            let event = tokio::select! {
                () = env.draining.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    tracing::debug!(instance.id = %event.instance, action = ?event.action, "Docker reported a change");
                    deaths.note(&event);
                    if event.action != InstanceAction::Oom {
                        check(env, deaths, &event.instance).await;
                    }
                }
                Some(Err(error)) => {
                    tracing::warn!(error = chain(&error), "The stream of Docker's events ended");
                    break;
                }
                None => break,
            }
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Checks the instance that an event was about.
async fn check(env: &Env, deaths: &Deaths, id: &InstanceId) {
    match correct(env, deaths, id).await {
        Ok(Some(Correction { from, to, error })) => {
            tracing::info!(instance.id = %id, %from, %to, error, "Corrected the status of an instance");
        }
        Ok(None) => {}
        // The sweep reports it if it goes on.
        Err(error @ SweepError::Runtime(_)) => {
            tracing::debug!(instance.id = %id, error = chain(&error), "Could not inspect a container");
        }
        Err(error) => tracing::warn!(instance.id = %id, error = chain(&error), "Could not check an instance"),
    }
}

/// Checks every instance that should have a container.
pub(super) async fn sweep(env: &Env, deaths: &Deaths) -> SweepResult {
    let mut instances = instance::list_by_status(&mut *env.db.conn().await?, &WATCHED).await?;
    instances.retain(|instance| instance.container_id.is_some());
    let mut report = SweepReport::of(instances.len());
    let checks: Vec<_> = instances.iter().map(|i| async move { (&i.id, correct(env, deaths, &i.id).await) }).collect();
    let mut checked = stream::iter(checks).buffer_unordered(SIDE_BY_SIDE);
    while let Some((id, corrected)) = checked.next().await {
        match corrected {
            Ok(Some(Correction { to, error: Some(code), .. })) if code == crash_loop::CODE => {
                report.repaired(
                    &code,
                    id,
                    format!("Its gateway kept crashing and was stopped. Its status is now {to}."),
                );
            }
            Ok(Some(Correction { from, to, error })) => {
                let why = error.map(|code| format!(" ({code})")).unwrap_or_default();
                report.repaired("status_corrected", id, format!("Its status was {from} and is now {to}{why}."));
            }
            Ok(None) => {}
            Err(error) if error.is_hopeless() => return Err(error),
            Err(error) => report.reported("not_checked", id, format!("It could not be checked: {}.", chain(&error))),
        }
    }
    Ok(report)
}

async fn correct(env: &Env, deaths: &Deaths, id: &InstanceId) -> Result<Option<Correction>, SweepError> {
    let mut conn = env.db.conn().await?;
    let Some((before, _)) = instance::find(&mut conn, Scope::Everything, id).await? else { return Ok(None) };
    if !WATCHED.contains(&before.status)
        || before.container_id.is_none()
        || !job::open_on(&mut conn, id).await?.is_empty()
    {
        return Ok(None);
    }
    // A gateway that answers proves nothing about files and image that may not match.
    if snapshot::stuck_on(&mut conn, id).await?.is_some() {
        return Ok(None);
    }
    drop(conn);
    let seen = observe::observe(env, id).await?;
    if let Some(state) = &seen.container
        && break_loop(env, deaths, &before, state).await?
    {
        let error = Some(crash_loop::CODE.to_owned());
        return Ok(Some(Correction { from: before.status, to: InstanceStatus::Error, error }));
    }
    if agrees(&before, &seen) || stays_in_error(env, &before, &seen).await? {
        return Ok(None);
    }
    let mut conn = env.db.conn().await?;
    let changed: bool = conn
        .transaction::<_, SweepError, _>(async |conn| {
            // The row is locked as a request locks it, so that no job is accepted in between.
            let now = instance::find_for_update(conn, Scope::Everything, id).await?;
            let same = now.is_some_and(|now| now.status == before.status && now.container_id == before.container_id);
            if !same || !job::open_on(conn, id).await?.is_empty() {
                return Ok(false);
            }
            Ok(instance::set_status(conn, id, seen.status, seen.fault()).await?)
        })
        .await?;
    let error = seen.fault().map(|fault| fault.code.to_owned());
    Ok(changed.then_some(Correction { from: before.status, to: seen.status, error }))
}

/// Whether the row agrees with the observation.
fn agrees(row: &Instance, seen: &Observed) -> bool {
    row.status == seen.status
        && (row.status != InstanceStatus::Error || row.error_code.as_deref() == seen.fault().map(|fault| fault.code))
}

/// Whether the error in the row tells more than the container does.
async fn stays_in_error(env: &Env, row: &Instance, seen: &Observed) -> Result<bool, SweepError> {
    if row.status != InstanceStatus::Error || seen.status == InstanceStatus::Running {
        return Ok(false);
    }
    if !is_drift_error(row.error_code.as_deref()) {
        return Ok(true);
    }
    // A job may have failed with the same code and then stopped the container.
    let newest = newest_job(&mut *env.db.conn().await?, &row.id).await?;
    Ok(newest.is_some_and(|job| job.status == JobStatus::Failed && job.error_message == row.error_message))
}

/// Whether an error only reflects the container, and so ends when that changes.
fn is_drift_error(code: Option<&str>) -> bool {
    matches!(code, Some("container_gone" | "container_paused" | "gateway_exited" | "gateway_out_of_memory"))
}
