//! Wakes instances that sleep when somebody needs them.

use clawdeploy_shared::{
    db::{
        Scope,
        instance::Instance,
        job::Job,
        sleep::{self, Waker, Waking},
        token::TokenScope,
    },
    ids::InstanceId,
    instance::InstanceStatus,
    sleep::WokenBy,
};
use serde_json::json;

use crate::{
    audit::{Entry, Target},
    auth::Principal,
    capacity,
    controllers::instances::running,
    error::{AppError, AppResult, ErrorCode},
    middleware::RequestContext,
    state::AppState,
};

/// A running instance that the person owns, and its port. One that sleeps is woken: the error `waking` then has the job
/// to wait for.
pub async fn own_awake(
    app: &AppState,
    who: &Principal,
    context: &RequestContext,
    id: &InstanceId,
    by: WokenBy,
) -> AppResult<(Instance, Option<u16>)> {
    let (instance, port) = running::own(app, who, id).await?;
    // One that is falling asleep still runs, but is about to be stopped.
    if instance.status == InstanceStatus::Running && !sleep::is_asleep(&instance) {
        return Ok((instance, port));
    }
    who.needs(TokenScope::Operate)?;
    match wake(app, id, by, Some((who, context))).await? {
        Some(job) => {
            let detail = "The instance was asleep and is waking up. Wait until its job has ended, then try again.";
            Err(AppError::new(ErrorCode::Waking, detail).with_job(job.into()))
        }
        None => Err(running::not_running(&instance)),
    }
}

/// Wakes an instance if it sleeps, and returns the job to wait for. `None`: it does not sleep.
pub async fn wake(
    app: &AppState,
    id: &InstanceId,
    by: WokenBy,
    asked_by: Option<(&Principal, &RequestContext)>,
) -> AppResult<Option<Job>> {
    let (state, id) = (app.clone(), id.clone());
    let asked_by = asked_by.map(|(who, context)| (who.clone(), context.clone()));
    let woken = app
        .transaction(Scope::Everything, async move |conn| {
            let request_id = asked_by.as_ref().map(|(_, context)| &*context.request_id);
            let waker = Waker { by, person: asked_by.as_ref().map(|(who, _)| who.user.id), request_id };
            let woken = sleep::wake(conn, &id, waker, &state.capacity).await?;
            if let (Waking::Begun(job), Some((who, context))) = (&woken, &asked_by) {
                Entry::new("instance.start", Target::Instance(&id))
                    .owned_by(who.user.id)
                    .detail(json!({ "jobId": job.id, "by": by }))
                    .by(conn, who, context)
                    .await?;
            }
            Ok(woken)
        })
        .await?;
    match woken {
        Waking::Begun(job) => {
            app.doorbell.ring(job.queue, job.id);
            Ok(Some(*job))
        }
        Waking::Underway(job) => Ok(Some(*job)),
        Waking::NotAsleep => Ok(None),
        Waking::Full { free_mb, memory_mb } => Err(capacity::full(free_mb, memory_mb)),
        Waking::Vulnerable => {
            let detail = "Its version of OpenClaw is known to be vulnerable and may not be started. Update the instance, \
                          then start it.";
            Err(AppError::new(ErrorCode::VersionRefused, detail))
        }
    }
}
