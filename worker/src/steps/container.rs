//! The container of an instance and its network.
//!
//! Changes address containers by id, so that a late worker cannot hit its successor's container. The successor may
//! continue with the same container, so the lease is also checked before each change.

use clawdeploy_shared::{
    db::instance::{self, Container, Instance},
    job::JobKind,
    openclaw::version::is_older,
};

use super::{before_delete, boot, change, frozen, port, warm};
use crate::{
    job::{context::JobContext, error::StepError},
    runtime::{GatewaySpec, GatewayStatus, NetworkSpec, Reference},
};

/// The image for the container: the instance's own if the engine still has it, else the current one.
async fn image(cx: &JobContext) -> Result<String, StepError> {
    let (instance, _) = cx.instance().await?;
    if cx.job.kind.is_change() {
        // No other image will do: only this version may be able to read the state.
        return change::image(cx, instance.image_id).await;
    }
    if cx.job.kind != JobKind::Provision
        && let Some(image_id) = &instance.image_id
        && cx.env.runtime.image_id(image_id).await?.is_some()
    {
        return Ok(image_id.clone());
    }
    let reference = &cx.env.config.image.image;
    let image = cx.env.runtime.image_id(reference).await?.ok_or_else(|| image_missing(reference))?;
    if cx.job.kind == JobKind::Restore {
        not_older(cx, &image, instance.openclaw_version.as_deref()).await?;
    }
    Ok(image)
}

/// Refuses an older OpenClaw than the instance had: its state only migrates forward.
async fn not_older(cx: &JobContext, image: &str, had: Option<&str>) -> Result<(), StepError> {
    let version = cx.env.runtime.image_version(image).await?;
    match (version, had) {
        (Some(version), Some(had)) if is_older(&version, had) => {
            let message = format!(
                "The instance ran OpenClaw {had}, whose image is no longer on the server, and {version} cannot read \
                 its state. An administrator must build a newer image (POST /api/admin/image/rebuild); then start \
                 the instance."
            );
            Err(StepError::permanent("image_too_old", message))
        }
        _ => Ok(()),
    }
}

pub(super) fn image_missing(image: &str) -> StepError {
    let message = format!(
        "The image {image} is not on the server. An administrator must build it (POST /api/admin/image/rebuild); \
         then retry the job."
    );
    StepError::permanent("image_missing", message)
}

/// Finds the image and checks that it may be started.
pub(super) async fn find_image(cx: &JobContext) -> Result<(), StepError> {
    warm::check_untouched(cx).await?;
    let image = image(cx).await?;
    let version = cx.env.runtime.image_version(&image).await?;
    change::check_policy(cx, version.as_deref()).await
}

pub(super) async fn create_network(cx: &JobContext) -> Result<(), StepError> {
    let (instance, port) = cx.instance_with_port().await?;
    let spec = NetworkSpec {
        instance: instance.id,
        deployment: cx.env.config.instances.deployment.clone(),
        subnet: cx.subnet(port)?,
    };
    cx.ensure_leased().await?;
    match cx.env.runtime.ensure_network(&spec).await {
        Err(error) if error.is_subnet_taken() => {
            // Another network overlaps with this port's. The next attempt takes another port and with it another
            // network.
            port::refuse(cx).await?;
            Err(error.into())
        }
        other => Ok(other?),
    }
}

pub(super) async fn remove_network(cx: &JobContext) -> Result<(), StepError> {
    cx.ensure_leased().await?;
    Ok(cx.env.runtime.remove_network(cx.instance_id()?).await?)
}

pub(super) async fn create(cx: &JobContext) -> Result<(), StepError> {
    let (instance, port) = cx.instance_with_port().await?;
    let image_id = image(cx).await?;
    let (config_dir, workspace_dir) = cx.env.files.paths(&instance.id);
    let spec = GatewaySpec {
        instance: instance.id.clone(),
        deployment: cx.env.config.instances.deployment.clone(),
        image_id: image_id.clone(),
        port,
        memory_mb: instance.memory_mb,
        cpu_millis: instance.cpu_millis,
        boost_cpu_millis: cx.env.config.instances.boost_cpu_millis,
        config_dir,
        workspace_dir,
        job: cx.job.id,
        attempt: i32::try_from(cx.lease.attempt).unwrap_or(i32::MAX),
    };
    cx.ensure_leased().await?;
    let container_id = cx.env.runtime.ensure_gateway(&spec).await?;
    warm::note_container(cx, instance.container_id.as_deref(), &container_id).await?;
    let version = cx.env.runtime.image_version(&image_id).await?;
    note_container(cx, Some(Container { id: container_id.as_str(), image: &image_id, version: version.as_deref() }))
        .await
}

async fn note_container(cx: &JobContext, container: Option<Container<'_>>) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    cx.fenced(async |conn| Ok(instance::set_container(conn, id, container).await?)).await
}

/// Starts the container once there is a slot to boot.
pub(super) async fn start(cx: &JobContext) -> Result<(), StepError> {
    let found = cx.env.runtime.gateways_of(cx.instance_id()?).await?;
    let any = |statuses: &[GatewayStatus]| found.iter().any(|container| statuses.contains(&container.status));
    if any(&[GatewayStatus::Paused]) && warm::is_warm(cx).await? {
        return thaw(cx).await;
    }
    let runs = any(&[GatewayStatus::Running, GatewayStatus::Restarting]);
    let may_run = cx.job.kind == JobKind::Start;
    if runs && may_run {
        boot::note_found_running(cx).await?;
    }
    if any(&[GatewayStatus::Paused]) && frozen::is_frozen(cx).await? {
        if may_run {
            boot::note_starting(cx).await?;
        }
        if frozen::thaw(cx).await? {
            return Ok(());
        }
    }
    boot::wait_for_slot(cx, runs).await?;
    if !runs && may_run {
        boot::note_starting(cx).await?;
    }
    start_now(cx).await
}

/// Thaws a warm gateway, which has booted.
async fn thaw(cx: &JobContext) -> Result<(), StepError> {
    let (instance, _) = cx.instance().await?;
    let container_id = of(&instance)?;
    run(cx, &container_id, true).await?;
    warm::check_thawed(cx).await
}

/// Starts or thaws the container. A warm one is first let into its own network, which is where its port is bound.
async fn run(cx: &JobContext, container_id: &Reference, is_warm: bool) -> Result<(), StepError> {
    let start = async {
        if is_warm {
            cx.env.runtime.admit(container_id, cx.instance_id()?).await?;
            cx.ensure_leased().await?;
        }
        Ok(cx.env.runtime.start(container_id).await?)
    };
    cx.ensure_leased().await?;
    match start.await {
        Err(error) if StepError::is_port_taken(&error) => {
            // The next attempt takes another port and with it another network.
            cx.ensure_leased().await?;
            cx.env.runtime.remove(container_id).await?;
            note_container(cx, None).await?;
            warm::end(cx).await?;
            port::refuse(cx).await?;
            Err(error)
        }
        other => other,
    }
}

/// The container of an instance, for steps after it was created.
pub(super) fn of(instance: &Instance) -> Result<Reference, StepError> {
    Reference::of(instance)
        .ok_or_else(|| StepError::transient("container_missing", "The container does not exist yet."))
}

/// Starts the container without waiting for a slot.
pub(super) async fn start_at_once(cx: &JobContext) -> Result<(), StepError> {
    boot::wait_for_slot(cx, true).await?;
    start_now(cx).await
}

async fn start_now(cx: &JobContext) -> Result<(), StepError> {
    let (instance, _) = cx.instance().await?;
    let container_id = of(&instance)?;
    // A boot is bound by CPU. The limit is reset once the gateway answers.
    let boost = cx.env.config.instances.boost_cpu_millis.max(instance.cpu_millis);
    cx.ensure_leased().await?;
    cx.env.runtime.prepare_start(&container_id, boost).await?;
    run(cx, &container_id, warm::is_warm(cx).await?).await?;
    frozen::note_ended(cx).await
}

/// Undo of a restart: starts what was stopped, unless it is to be deleted. Does not recreate a missing container.
pub(super) async fn start_again(cx: &JobContext) -> Result<(), StepError> {
    if cx.env.runtime.gateways_of(cx.instance_id()?).await?.is_empty() {
        return Ok(());
    }
    if before_delete::leaves_stopped(cx).await? {
        // It may have been started already.
        return stop(cx).await;
    }
    // A stopped container refers to its network by id. If the network was removed in the meantime, a plain start would
    // fail.
    create_network(cx).await?;
    create(cx).await?;
    start_at_once(cx).await
}

/// Undo of a start: stops the container if this job started it. Only a start can find its container running; other jobs
/// stop it first.
pub(super) async fn stop_what_was_started(cx: &JobContext) -> Result<(), StepError> {
    if cx.job.kind == JobKind::Start && !boot::has_started(cx).await? {
        return cx.log("Left the container as it is: this job did not start it").await;
    }
    stop(cx).await
}

pub(super) async fn stop(cx: &JobContext) -> Result<(), StepError> {
    cx.env.terminals.close_instance(cx.instance_id()?).await;
    for container in cx.env.runtime.gateways_of(cx.instance_id()?).await? {
        if !matches!(container.status, GatewayStatus::Exited | GatewayStatus::Created) {
            cx.ensure_leased().await?;
            cx.env.runtime.stop(&container.id, cx.env.config.instances.stop_within).await?;
        }
    }
    frozen::note_ended(cx).await
}

pub(super) async fn remove(cx: &JobContext) -> Result<(), StepError> {
    cx.env.terminals.close_instance(cx.instance_id()?).await;
    for container in cx.env.runtime.gateways_of(cx.instance_id()?).await? {
        cx.ensure_leased().await?;
        cx.env.runtime.remove(&container.id).await?;
    }
    frozen::note_ended(cx).await?;
    note_container(cx, None).await
}
