//! Looks at one instance and corrects its row.

use std::net::SocketAddr;

use clawdeploy_shared::{
    db::{
        Scope,
        instance::{self, Instance},
        job, snapshot,
    },
    ids::InstanceId,
    instance::InstanceStatus,
    job::JobStatus,
    telemetry::chain,
};
use diesel_async::AsyncConnection as _;

use super::{
    WATCHED,
    checks::{Check, How, Look},
    compare::{is_drift_error, is_of_another},
};
use crate::{
    env::Env,
    observe::{self, Observed},
    probe::{Answer, Probe},
    reconcile::{
        SweepError,
        crash_loop::{self, Deaths, break_loop, newest_job},
    },
};

/// A correction of a row.
#[derive(Debug)]
pub(super) struct Correction {
    pub(super) from: InstanceStatus,
    pub(super) to: InstanceStatus,
    /// Code of its current error.
    pub(super) error: Option<String>,
}

/// Looks at instances as they are now.
#[derive(Debug)]
pub(crate) struct Inspector {
    pub(super) env: Env,
    pub(super) deaths: Deaths,
}

impl Check for Inspector {
    type Found = Result<Correction, SweepError>;

    async fn look(&self, id: &InstanceId, how: How) -> Look<Self::Found> {
        // It may have begun to stand by while a gateway was waited for.
        if !self.env.identity.belongs() {
            return Look::Right;
        }
        if let Some(look) = ask(&self.env.probe, how).await {
            return look;
        }
        match correct(&self.env, &self.deaths, id, how == How::Impatient).await {
            Ok(Corrected::No) => Look::Right,
            Ok(Corrected::Slow(gateway)) => Look::Slow(gateway),
            Ok(Corrected::Yes(correction)) => {
                let Correction { from, to, error } = &correction;
                tracing::info!(instance.id = %id, %from, %to, error, "Corrected the status of an instance");
                Look::Found(Ok(correction))
            }
            // The sweep reports it if it goes on.
            Err(error @ SweepError::Runtime(_)) => {
                tracing::debug!(instance.id = %id, error = chain(&error), "Could not inspect a container");
                Look::Found(Err(error))
            }
            Err(error) => {
                tracing::warn!(instance.id = %id, error = chain(&error), "Could not check an instance");
                Look::Found(Err(error))
            }
        }
    }

    async fn wait(&self, gateway: SocketAddr) -> bool {
        self.env.probe.is_still_ready(gateway).await
    }
}

/// Asks the gateway, if that is the way to look. `None`: the rest has to be looked at.
pub(super) async fn ask<T>(probe: &Probe, how: How) -> Option<Look<T>> {
    let How::Ask { gateway, ready } = how else { return None };
    match probe.ask(gateway).await {
        Answer::Slow if ready => Some(Look::Slow(gateway)),
        answer if (answer == Answer::Ready) == ready => Some(Look::Right),
        _ => None,
    }
}

/// What was done about an instance.
enum Corrected {
    No,
    Yes(Correction),
    /// Nothing yet: its gateway was ready before and does not answer soon.
    Slow(SocketAddr),
}

async fn correct(env: &Env, deaths: &Deaths, id: &InstanceId, impatient: bool) -> Result<Corrected, SweepError> {
    let mut conn = env.db.conn().await?;
    let Some((before, port)) = instance::find(&mut conn, Scope::Everything, id).await? else {
        return Ok(Corrected::No);
    };
    if !WATCHED.contains(&before.status)
        || before.container_id.is_none()
        || before.status == InstanceStatus::Error && is_of_another(before.error_code.as_deref())
        || !job::open_on(&mut conn, id).await?.is_empty()
    {
        return Ok(Corrected::No);
    }
    // A gateway that answers proves nothing about files and image that may not match.
    if snapshot::stuck_on(&mut conn, id).await?.is_some() {
        return Ok(Corrected::No);
    }
    drop(conn);
    let mut seen = observe::inspect(env, &before).await?;
    if let Some(state) = &seen.container
        && break_loop(env, deaths, &before, state).await?
    {
        let error = Some(crash_loop::CODE.to_owned());
        return Ok(Corrected::Yes(Correction { from: before.status, to: InstanceStatus::Error, error }));
    }
    if seen.status == InstanceStatus::Running {
        let gateway = port.map(|port| env.runtime.address(port));
        match gateway {
            Some(gateway) => match env.probe.ask(gateway).await {
                Answer::Ready => {}
                Answer::Slow if before.status == InstanceStatus::Running && !impatient => {
                    return Ok(Corrected::Slow(gateway));
                }
                Answer::Slow | Answer::NotReady => seen.status = InstanceStatus::Starting,
            },
            None => seen.status = InstanceStatus::Starting,
        }
    }
    if agrees(&before, &seen) || stays_in_error(env, &before, &seen).await? {
        return Ok(Corrected::No);
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
    if !changed {
        return Ok(Corrected::No);
    }
    let error = seen.fault().map(|fault| fault.code.to_owned());
    Ok(Corrected::Yes(Correction { from: before.status, to: seen.status, error }))
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
