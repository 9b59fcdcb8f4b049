//! Freezes the gateway of an instance that falls asleep, and thaws it when it wakes.
//!
//! It is frozen while it is suspended and released after it was thawed, as OpenClaw's `gateway/external-apps.md` says: in
//! between it cannot begin anything. The engine does not start a frozen container again after a reboot of the host: the
//! instance sleeps on, stopped.

use std::time::Duration;

use clawdeploy_shared::{db::frozen, telemetry::chain};
use tokio::time::timeout;

use super::{container, route, warm};
use crate::{
    gateway_rpc::{Link, activity::Suspension},
    job::{context::JobContext, error::StepError},
    runtime::{GatewayStatus, Reference},
};

/// Time limit for a thawed gateway to answer and to be released. Usually it takes a tenth of a second.
const THAW_LIMIT: Duration = Duration::from_secs(25);

/// Freezes the gateway if the job is to. False: it has to be stopped.
pub(super) async fn freeze(cx: &JobContext) -> Result<bool, StepError> {
    let Some(suspension) = frozen::suspension(&cx.job) else { return Ok(false) };
    let (instance, _) = cx.instance().await?;
    let Some(container) = Reference::of(&instance) else { return Ok(false) };
    match cx.env.runtime.state(&container).await?.map(|state| state.status) {
        Some(GatewayStatus::Running | GatewayStatus::Paused) => {}
        _ => return Ok(false),
    }
    if !route::is_closed(cx).await? {
        // A frozen gateway accepts connections and does not answer, and nginx would wait for it.
        return Ok(false);
    }
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(frozen::note(conn, id, suspension).await?)).await?;
    cx.ensure_leased().await?;
    cx.env.runtime.restart_by_itself(&container, false).await?;
    cx.ensure_leased().await?;
    cx.env.runtime.freeze(&container).await?;
    cx.log("The gateway is frozen and will be stopped later; until then it wakes at once").await?;
    Ok(true)
}

/// Thaws the frozen gateway of an instance that wakes. False: it was not usable and was stopped, so it has to be started.
pub(super) async fn thaw(cx: &JobContext) -> Result<bool, StepError> {
    let suspension = held(cx).await?.unwrap_or_default();
    let_run(cx).await?;
    // In this order: a suspended gateway says that it is not ready.
    let works = async { Ok::<_, StepError>(is_released(cx, &suspension).await? && warm::answers(cx).await?) };
    if timeout(THAW_LIMIT, works).await.unwrap_or(Ok(false))? {
        note_ended(cx).await?;
        return Ok(true);
    }
    cx.log("The frozen gateway cannot be used again, so it is started").await?;
    container::stop(cx).await?;
    Ok(false)
}

/// Undo of [`freeze`]: lets the gateway run, if it was not stopped.
pub(super) async fn release(cx: &JobContext) -> Result<(), StepError> {
    let Some(suspension) = frozen::suspension(&cx.job) else { return Ok(()) };
    if held(cx).await?.is_none() {
        return Ok(());
    }
    let (instance, _) = cx.instance().await?;
    let Some(container) = Reference::of(&instance) else { return note_ended(cx).await };
    let state = cx.env.runtime.state(&container).await?.map(|state| state.status);
    if matches!(state, Some(GatewayStatus::Running | GatewayStatus::Paused)) {
        let_run(cx).await?;
        // If that fails, its suspension ends by itself.
        let _ = timeout(THAW_LIMIT, is_released(cx, suspension)).await;
    }
    note_ended(cx).await
}

/// Whether the gateway begins new work again. One whose suspension has ended by itself does.
async fn is_released(cx: &JobContext, suspension: &str) -> Result<bool, StepError> {
    let (instance, port) = cx.instance_with_port().await?;
    let Some(link) = Link::to(&cx.env, &instance, port) else { return Ok(false) };
    match link.resume(Suspension::of(suspension)).await {
        Ok(()) => Ok(true),
        Err(error) => {
            cx.log(&format!("The gateway was thawed and cannot be released: {}", chain(&error))).await?;
            Ok(false)
        }
    }
}

async fn let_run(cx: &JobContext) -> Result<(), StepError> {
    let container = container::of(&cx.instance().await?.0)?;
    cx.ensure_leased().await?;
    cx.env.runtime.restart_by_itself(&container, true).await?;
    cx.ensure_leased().await?;
    Ok(cx.env.runtime.start(&container).await?)
}

/// The suspension of the gateway if it was frozen, and neither started nor stopped since.
async fn held(cx: &JobContext) -> Result<Option<String>, StepError> {
    Ok(frozen::held(&mut *cx.env.db.conn().await?, cx.instance_id()?).await?)
}

pub(super) async fn is_frozen(cx: &JobContext) -> Result<bool, StepError> {
    Ok(held(cx).await?.is_some())
}

/// Nothing is to do for a job that stops a frozen gateway if it has been started or stopped since.
pub(super) async fn check(cx: &JobContext) -> Result<(), StepError> {
    if !frozen::stops_frozen(&cx.job) || is_frozen(cx).await? {
        return Ok(());
    }
    Err(StepError::Satisfied("The gateway is not frozen any more".to_owned()))
}

/// Records that the gateway is not frozen any more, if it was.
pub(super) async fn note_ended(cx: &JobContext) -> Result<(), StepError> {
    if !is_frozen(cx).await? {
        return Ok(());
    }
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(frozen::note_ended(conn, id).await?)).await
}
