//! Steps of the warm pool, and what a creation that took a warm instance does differently.
//!
//! Such a creation has the plan of any other. Each step finds what is there: port, directories, network, container. Its
//! settings are written to the files of the frozen gateway, which applies them as it notices the change. One that does not
//! answer, or whose container no longer fits, is replaced by one that boots.

use std::time::Duration;

use clawdeploy_shared::{
    db::{
        instance::{Instance, InstanceSettings},
        recoverable::Manifest,
        warm_pool,
    },
    instance::{AiProvider, Channel},
    job::JobKind,
    openclaw::GATEWAY_PORT,
};

use super::container;
use crate::{
    job::{context::JobContext, error::StepError},
    runtime::{Ending, GatewayStatus, Reference},
};

/// Code of the failure of a job whose instance has the files of somebody else.
pub(crate) const TAKEN: &str = "instance_taken";

/// How often a thawed gateway is asked that refuses the connection, and the delay between two questions: for three seconds
/// in all. One that accepts it gets more time.
const THAW_TRIES: u32 = 150;
const THAW_PAUSE: Duration = Duration::from_millis(20);

/// Time limit of one question to a secluded gateway.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// Whether the job's instance has a warm gateway that its owner does not have yet. Usually that is a creation; if it was
/// cancelled before it began, it is the next start.
pub(super) async fn is_warm(cx: &JobContext) -> Result<bool, StepError> {
    if matches!(cx.job.kind, JobKind::WarmUp | JobKind::Discard) {
        return Ok(false);
    }
    let id = cx.instance_id()?;
    let origin = warm_pool::origin(&mut *cx.env.db.conn().await?, id).await?;
    Ok(origin.is_some_and(|origin| origin.ready))
}

/// The settings that a warm gateway was made with: those of an instance without channel and provider.
pub(super) fn settings(instance: &Instance) -> InstanceSettings {
    InstanceSettings {
        channel: Channel::None,
        bot_token_sealed: None,
        ai_provider: AiProvider::None,
        api_key_sealed: None,
        env_sealed: std::collections::BTreeMap::new(),
        ..instance.settings()
    }
}

/// Records that the warm gateway `before` was replaced, if that is so.
pub(super) async fn note_container(cx: &JobContext, before: Option<&str>, now: &Reference) -> Result<(), StepError> {
    if before.is_some_and(|before| before != now.as_str()) && is_warm(cx).await? {
        note_cold(cx).await?;
        cx.log("The warm gateway cannot be used as it is, so a new one boots").await?;
    }
    Ok(())
}

/// Removes the warm gateway's container.
async fn give_up(cx: &JobContext, why: &str) -> Result<(), StepError> {
    cx.log(why).await?;
    container::remove(cx).await?;
    note_cold(cx).await
}

/// No longer offers the instance to creations.
pub(super) async fn note_cold(cx: &JobContext) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(warm_pool::note_cold(conn, id).await?)).await
}

/// Records that the gateway is no longer a warm one, if it was: its owner has it, or it is being removed. From now on the
/// instance is routed like any other.
pub(super) async fn end(cx: &JobContext) -> Result<(), StepError> {
    if is_warm(cx).await? { note_cold(cx).await } else { Ok(()) }
}

/// Whether a gateway that was thawed answers.
pub(super) async fn answers(cx: &JobContext) -> Result<bool, StepError> {
    let (_, port) = cx.instance_with_port().await?;
    for _ in 0..THAW_TRIES {
        cx.check()?;
        if cx.env.probe.is_still_ready(cx.env.runtime.address(port)).await {
            return Ok(true);
        }
        tokio::time::sleep(THAW_PAUSE).await;
    }
    Ok(false)
}

/// Checks that a warm gateway answers once it is thawed. If it does not, it is given up, and the job is tried again.
pub(super) async fn check_thawed(cx: &JobContext) -> Result<(), StepError> {
    if answers(cx).await? {
        return Ok(());
    }
    give_up(cx, "The warm gateway does not answer, so a new one boots").await?;
    Err(StepError::transient("warm_gateway_silent", "The warm gateway does not answer."))
}

/// Attaches the container to a network that leads nowhere.
pub(super) async fn seclude(cx: &JobContext) -> Result<(), StepError> {
    let (pool, range) = (cx.env.config.instances.network_pool, cx.env.config.routing.port_range);
    let place = pool.warm_place(range).ok_or_else(|| {
        let message = "The address pool has no room for the network of the warm pool. An administrator must give the \
                       workers a larger CLAWDEPLOY_NETWORK_POOL, or set CLAWDEPLOY_WARM_POOL to 0.";
        StepError::permanent("network_pool_too_small", message)
    })?;
    let container = container::of(&cx.instance().await?.0)?;
    let runs = cx.env.runtime.state(&container).await?.is_some_and(|state| state.status != GatewayStatus::Created);
    if runs {
        // An earlier attempt has secluded and started it.
        return Ok(());
    }
    cx.ensure_leased().await?;
    Ok(cx.env.runtime.seclude(&container, place).await?)
}

/// Whether a secluded gateway has started. Nothing outside of its container reaches it, so a command inside asks.
pub(super) async fn has_started(cx: &JobContext, container: &Reference) -> Result<bool, StepError> {
    let ask = format!(
        "fetch('http://127.0.0.1:{GATEWAY_PORT}/startupz').then(answer => process.exit(answer.status === 200 ? 0 : 1), () => process.exit(1))"
    );
    match cx.env.runtime.exec(container, &["node", "-e", &ask], ASK_LIMIT).await {
        Ok(finished) => Ok(finished.ending == Ending::Exited(0)),
        // It may be restarting; whether that is hopeless, its state says.
        Err(error) if error.is_unreachable() => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// Freezes the gateway and offers the instance to creations.
pub(super) async fn freeze(cx: &JobContext) -> Result<(), StepError> {
    check_unowned(cx).await?;
    let container = container::of(&cx.instance().await?.0)?;
    cx.ensure_leased().await?;
    cx.env.runtime.freeze(&container).await?;
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(warm_pool::note_ready(conn, id).await?)).await?;
    cx.env.routes.nudge();
    Ok(())
}

/// Fails if somebody has the instance, so that nothing of it is touched.
///
/// Its files are asked as well as its row: a database that was restored from an older dump does not know who has taken it
/// since. Only what somebody owns has a manifest.
pub(super) async fn check_unowned(cx: &JobContext) -> Result<(), StepError> {
    let (instance, _) = cx.instance().await?;
    if instance.owner_id.is_none() && cx.env.files.read_manifest(&instance.id).await?.is_none() {
        return Ok(());
    }
    let message = "The instance belongs to somebody, so nothing of it was touched. If the database was restored from an \
                   older backup, its files show whose it is; an administrator must move them away or put them back.";
    Err(StepError::permanent(TAKEN, message))
}

/// Fails if the files of a warm instance that this job gives to somebody are another person's already. See
/// [`check_unowned`].
pub(super) async fn check_untouched(cx: &JobContext) -> Result<(), StepError> {
    if !is_warm(cx).await? {
        return Ok(());
    }
    let (instance, _) = cx.instance().await?;
    let manifest = cx.env.files.read_manifest(&instance.id).await?;
    let manifest = manifest.and_then(|bytes| Manifest::from_bytes(&bytes, &instance.id));
    match manifest.and_then(|manifest| manifest.owner_id) {
        Some(owner) if Some(owner) != instance.owner_id => {
            let message = "The files of this instance belong to somebody else: the database was restored from an older \
                           backup. Nothing was touched. Create another instance, and tell an administrator.";
            Err(StepError::permanent(TAKEN, message))
        }
        _ => Ok(()),
    }
}

/// Removes the files of an instance that nobody has ever owned.
pub(super) async fn drop_directories(cx: &JobContext) -> Result<(), StepError> {
    check_unowned(cx).await?;
    cx.ensure_leased().await?;
    Ok(cx.env.files.remove(cx.instance_id()?).await?)
}
