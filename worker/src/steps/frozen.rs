//! Freezes the gateway of an instance that falls asleep, and thaws it when it wakes.
//!
//! The engine does not start a frozen container again after a reboot of the host: the instance sleeps on, stopped.

use clawdeploy_shared::{db::frozen, telemetry::chain};

use super::{container, warm};
use crate::{
    gateway_rpc::{Link, activity::Suspension},
    job::{context::JobContext, error::StepError},
    runtime::{GatewayStatus, Reference},
};

/// Whether the gateway was frozen, and neither started nor stopped since.
pub(super) async fn is_frozen(cx: &JobContext) -> Result<bool, StepError> {
    Ok(frozen::is_frozen(&mut *cx.env.db.conn().await?, cx.instance_id()?).await?)
}

/// Freezes the gateway if the job is to. False: it has to be stopped.
pub(super) async fn freeze(cx: &JobContext) -> Result<bool, StepError> {
    let Some(suspension) = frozen::suspension(&cx.job) else { return Ok(false) };
    let (instance, port) = cx.instance_with_port().await?;
    let Some(container) = Reference::of(&instance) else { return Ok(false) };
    match cx.env.runtime.state(&container).await?.map(|state| state.status) {
        // By an earlier attempt.
        Some(GatewayStatus::Paused) => return Ok(true),
        Some(GatewayStatus::Running) => {}
        _ => return Ok(false),
    }
    // Its suspension has a time limit, which would pass while it is frozen. Nothing reaches it by now.
    let released = match Link::to(&cx.env, &instance, port) {
        Some(link) => link.resume(Suspension::of(suspension)).await.map_err(|error| chain(&error)),
        None => Err("its token cannot be read".to_owned()),
    };
    if let Err(error) = released {
        cx.log(&format!("The gateway cannot be frozen, so it is stopped: {error}")).await?;
        return Ok(false);
    }
    note(cx, true).await?;
    cx.ensure_leased().await?;
    cx.env.runtime.restart_by_itself(&container, false).await?;
    cx.ensure_leased().await?;
    cx.env.runtime.freeze(&container).await?;
    cx.log("The gateway is frozen and will be stopped later; until then it wakes at once").await?;
    Ok(true)
}

/// Thaws the frozen gateway of an instance that wakes. False: it does not answer and was stopped, so it has to be started.
pub(super) async fn thaw(cx: &JobContext) -> Result<bool, StepError> {
    let_run(cx, &container::of(&cx.instance().await?.0)?).await?;
    if warm::answers(cx).await? {
        return Ok(true);
    }
    cx.log("The frozen gateway does not answer, so it is started again").await?;
    container::stop(cx).await?;
    Ok(false)
}

/// Thaws the gateway of an instance that is not to fall asleep after all.
pub(crate) async fn release(cx: &JobContext) -> Result<(), StepError> {
    let (instance, _) = cx.instance().await?;
    let Some(container) = Reference::of(&instance).filter(|_| frozen::suspension(&cx.job).is_some()) else {
        return Ok(());
    };
    match cx.env.runtime.state(&container).await? {
        Some(state) if state.status == GatewayStatus::Paused => let_run(cx, &container).await,
        _ => Ok(()),
    }
}

async fn let_run(cx: &JobContext, container: &Reference) -> Result<(), StepError> {
    cx.ensure_leased().await?;
    cx.env.runtime.restart_by_itself(container, true).await?;
    cx.ensure_leased().await?;
    cx.env.runtime.start(container).await?;
    note(cx, false).await
}

/// Records that the gateway is not frozen any more, if it was.
pub(super) async fn note_ended(cx: &JobContext) -> Result<(), StepError> {
    if is_frozen(cx).await? { note(cx, false).await } else { Ok(()) }
}

async fn note(cx: &JobContext, is_frozen: bool) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(frozen::note(conn, id, is_frozen).await?)).await
}
