//! The steps of a change that can be rolled back. `jobs/change.rs` gives their order and the reasons.
//!
//! The row in the table `snapshots` is written before anything is touched. Every later step and every undo goes by that
//! row and not by what it finds, because an earlier attempt may have changed that.

use clawdeploy_shared::{
    db::{
        instance::{self, Instance, InstanceSettings},
        job_event,
        snapshot::{self, ChangeReason, ContainerSource, NewSnapshot, Snapshot, SnapshotStatus, Taken},
        version_policy,
    },
    ids::SnapshotId,
    instance::DesiredState,
    job::{JobEventKind, JobKind},
};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{before_delete, boot, container, port, ready};
use crate::{
    job::{
        context::JobContext,
        error::{Failure, StepError},
    },
    kill_point::kill_point,
    runtime::{GatewayStatus, Reference},
};

/// Free space to leave beside the copy of the files: a starting gateway writes, too.
const SPARE_BYTES: u64 = 256 << 20;

/// Arguments of the job.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Payload {
    /// Update even if the instance already runs the newest image.
    force: bool,
    /// The owner asked for a start: the gateway runs afterwards, but not if the job is undone.
    start: bool,
    /// The snapshot to roll back to.
    snapshot_id: Option<SnapshotId>,
}

/// What the container will be made from.
struct Target {
    image: String,
    version: Option<String>,
    settings: InstanceSettings,
}

impl Target {
    fn source(&self) -> ContainerSource<'_> {
        ContainerSource { image: &self.image, version: self.version.as_deref(), settings: &self.settings }
    }
}

fn unreadable(error: serde_json::Error) -> StepError {
    StepError::Permanent(Failure {
        code: "invalid_payload",
        message: "The job's payload cannot be read.".into(),
        source: Some(error.into()),
    })
}

/// The `snapshots` row of this job.
async fn current(cx: &JobContext) -> Result<Snapshot, StepError> {
    let found = snapshot::of_job(&mut *cx.env.db.conn().await?, cx.job.id).await?;
    found.ok_or_else(|| StepError::permanent("change_missing", "The job has no record of what it changes."))
}

/// Determines the current and the wanted state and records both.
pub(super) async fn prepare(cx: &JobContext) -> Result<(), StepError> {
    let begun = snapshot::of_job(&mut *cx.env.db.conn().await?, cx.job.id).await?;
    match begun {
        // From an earlier attempt, possibly half done.
        Some(change) if change.status == SnapshotStatus::Changing => return Ok(()),
        // From an earlier attempt that was done but for its end. Forgetting it would lose the owner's rollback.
        Some(change) if change.status == SnapshotStatus::Kept && is_of_this_life(cx, &change).await? => return Ok(()),
        // From before an administrator retried the job.
        Some(_) => {
            cx.fenced(async |conn| Ok(snapshot::forget(conn, cx.job.id).await?)).await?;
        }
        None => {}
    }
    let payload: Payload = serde_json::from_value(cx.job.payload.clone()).map_err(unreadable)?;
    let (instance, _) = cx.instance().await?;
    let from = Target {
        image: instance.image_id.clone().ok_or_else(|| {
            StepError::permanent("container_missing", "The instance has no container yet. Start it instead.")
        })?,
        version: instance.openclaw_version.clone(),
        settings: instance.known_settings()?,
    };
    let to = target(cx, &instance, &payload).await?;
    let same = from.image == to.image && from.settings == to.settings;
    if same && !payload.force && !payload.start && cx.job.kind != JobKind::Rollback {
        settle_pending(cx, &instance).await?;
        let version = to.version.as_deref().unwrap_or("of unknown version");
        return Err(StepError::Satisfied(format!("Nothing to change: it already has OpenClaw {version}")));
    }
    let ran_before = if payload.start { is_up(cx, &instance).await? } else { runs(cx, &instance).await? };
    let runs_after = ran_before || payload.start;
    if runs_after {
        check_policy(cx, to.version.as_deref()).await?;
    }
    check_space(cx).await?;
    super::files::check(cx).await?;
    let reason = match cx.job.kind {
        JobKind::Rollback => ChangeReason::Rollback,
        JobKind::Update => ChangeReason::Update,
        _ => ChangeReason::Settings,
    };
    let new = NewSnapshot {
        instance: &instance.id,
        job: cx.job.id,
        reason,
        ran_before,
        runs_after,
        from: from.source(),
        to: to.source(),
    };
    cx.fenced(async |conn| Ok(snapshot::begin(conn, &new).await?)).await?;
    let name = |target: &Target| target.version.clone().unwrap_or_else(|| target.image.clone());
    cx.log(&format!("From {} to {}", name(&from), name(&to))).await
}

/// Whether the change began after the job was last accepted or retried.
async fn is_of_this_life(cx: &JobContext, change: &Snapshot) -> Result<bool, StepError> {
    let milestones = job_event::list_milestones(&mut *cx.env.db.conn().await?, cx.job.id).await?;
    let accepted = milestones.iter().rfind(|event| event.kind == JobEventKind::Accepted);
    Ok(accepted.is_none_or(|accepted| accepted.created_at <= change.created_at))
}

async fn target(cx: &JobContext, instance: &Instance, payload: &Payload) -> Result<Target, StepError> {
    let runtime = &cx.env.runtime;
    if cx.job.kind == JobKind::Rollback {
        let id = payload
            .snapshot_id
            .ok_or_else(|| StepError::permanent("no_way_back", "The job does not name a snapshot to roll back to."))?;
        let kept = snapshot::find_kept(&mut *cx.env.db.conn().await?, id).await?;
        let kept = kept
            .filter(|kept| kept.instance_id == instance.id)
            .ok_or_else(|| StepError::permanent("no_way_back", "The snapshot to roll back to no longer exists."))?;
        let image = image(cx, Some(kept.from_image.clone())).await?;
        return Ok(Target {
            image,
            version: kept.from_version.clone(),
            settings: kept.from_settings().map_err(unreadable)?,
        });
    }
    let reference = match (&cx.job.kind, &instance.image_id) {
        (JobKind::ApplySettings, Some(image)) => image,
        _ => &cx.env.config.image.image,
    };
    let image = runtime.image_id(reference).await?.ok_or_else(|| container::image_missing(reference))?;
    Ok(Target {
        version: runtime.image_version(&image).await?,
        image,
        settings: instance.wanted_settings().map_err(unreadable)?,
    })
}

/// Exactly the image with that id.
pub(super) async fn image(cx: &JobContext, image_id: Option<String>) -> Result<String, StepError> {
    let image_id = image_id.ok_or_else(|| {
        let message = "The image of the instance is not known. Start it once, then try again.";
        StepError::permanent("image_missing", message)
    })?;
    match cx.env.runtime.image_id(&image_id).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(container::image_missing(&image_id)),
        Err(error) => Err(error.into()),
    }
}

/// Whether the gateway is up or its owner wants it to be.
async fn runs(cx: &JobContext, instance: &Instance) -> Result<bool, StepError> {
    Ok(instance.desired_state == DesiredState::Running || is_up(cx, instance).await?)
}

/// Whether the gateway is up.
async fn is_up(cx: &JobContext, instance: &Instance) -> Result<bool, StepError> {
    let Some(gateway) = Reference::of(instance) else { return Ok(false) };
    let state = cx.env.runtime.state(&gateway).await?;
    Ok(state.is_some_and(|s| matches!(s.status, GatewayStatus::Running | GatewayStatus::Restarting)))
}

/// Refuses to start a version of OpenClaw that the policy forbids.
pub(super) async fn check_policy(cx: &JobContext, version: Option<&str>) -> Result<(), StepError> {
    let policy = version_policy::get(&mut *cx.env.db.conn().await?).await?;
    if policy.refuses(version) {
        let message = format!(
            "OpenClaw {} is known to be vulnerable and may not be started. An administrator must build a newer image.",
            version.unwrap_or_default()
        );
        return Err(StepError::permanent("version_refused", message));
    }
    Ok(())
}

/// Checks, before anything is stopped, that the disk has room for a snapshot.
async fn check_space(cx: &JobContext) -> Result<(), StepError> {
    let needed = cx.env.files.snapshot_size(cx.instance_id()?).await?.bytes + SPARE_BYTES;
    let free = cx.env.files.free_bytes().await?;
    if free < needed {
        let message = format!(
            "The snapshot needs {} MB on the server's disk, but only {} MB are free. An administrator must free \
             space; then retry the job. Nothing was changed.",
            needed / 1_000_000,
            free / 1_000_000
        );
        return Err(StepError::permanent("disk_full", message));
    }
    Ok(())
}

pub(super) async fn stop_gateway(cx: &JobContext) -> Result<(), StepError> {
    cx.fenced(async |conn| Ok(snapshot::note_stopped(conn, cx.job.id).await?)).await?;
    container::stop(cx).await
}

pub(super) async fn take_snapshot(cx: &JobContext) -> Result<(), StepError> {
    let change = current(cx).await?;
    let began = Instant::now();
    cx.ensure_leased().await?;
    let cancel = CancellationToken::new();
    // Dropping the future also ends the copying.
    let _guard = cancel.clone().drop_guard();
    let taking = cx.env.files.take_snapshot(&change.instance_id, change.id, &cancel);
    tokio::pin!(taking);
    let taken = tokio::select! {
        taken = &mut taking => taken?,
        () = cx.told_to_stop() => {
            cancel.cancel();
            // Awaited, so that no successor finds it at work.
            let taken = taking.await;
            cx.check()?;
            taken?
        }
    };
    let taken = Taken {
        files: i64::try_from(taken.files).unwrap_or(i64::MAX),
        bytes: i64::try_from(taken.bytes).unwrap_or(i64::MAX),
        method: taken.method,
        duration_ms: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
    };
    cx.fenced(async |conn| Ok(snapshot::note_taken(conn, cx.job.id, taken).await?)).await?;
    let (files, megabytes) = (taken.files, taken.bytes / 1_000_000);
    cx.log(&format!("Took a snapshot of {files} files, {megabytes} MB, in {} ms ({})", taken.duration_ms, taken.method))
        .await
}

/// Replaces the current files by those of an earlier snapshot.
pub(super) async fn restore_files(cx: &JobContext) -> Result<(), StepError> {
    let payload: Payload = serde_json::from_value(cx.job.payload.clone()).map_err(unreadable)?;
    let Some(kept) = payload.snapshot_id else { return Ok(()) };
    cx.ensure_leased().await?;
    Ok(cx.env.files.restore_snapshot(cx.instance_id()?, kept, true).await?)
}

pub(super) async fn apply(cx: &JobContext) -> Result<(), StepError> {
    let change = current(cx).await?;
    let settings = change.to_settings().map_err(unreadable)?;
    set_source(
        cx,
        ContainerSource { image: &change.to_image, version: change.to_version.as_deref(), settings: &settings },
    )
    .await
}

async fn set_source(cx: &JobContext, source: ContainerSource<'_>) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    cx.fenced(async |conn| {
        Ok(instance::set_container_source(conn, id, source.image, source.version, source.settings).await?)
    })
    .await
}

/// The settings that this change replaces in the instance's files, if any.
pub(super) async fn replaced_settings(cx: &JobContext) -> Result<Option<InstanceSettings>, StepError> {
    if !cx.job.kind.is_change() || cx.job.kind == JobKind::Rollback {
        return Ok(None);
    }
    let change = current(cx).await?;
    let (from, to) = (change.from_settings().map_err(unreadable)?, change.to_settings().map_err(unreadable)?);
    let limits_of = InstanceSettings { memory_mb: to.memory_mb, cpu_millis: to.cpu_millis, ..from.clone() };
    Ok((limits_of != to).then_some(from))
}

pub(super) async fn start_gateway(cx: &JobContext) -> Result<(), StepError> {
    if current(cx).await?.was_running { container::start(cx).await } else { Ok(()) }
}

pub(super) async fn wait_for_gateway(cx: &JobContext) -> Result<(), StepError> {
    if current(cx).await?.was_running { ready::wait(cx).await } else { Ok(()) }
}

/// Ends the change. Its snapshot becomes the rollback.
pub(super) async fn keep(cx: &JobContext) -> Result<(), StepError> {
    let change = current(cx).await?;
    let window = cx.env.config.instances.rollback_window;
    let down: Option<i64> = cx
        .fenced(async |conn| {
            instance::clear_pending(conn, &change.instance_id, &change.to_settings).await?;
            Ok(snapshot::keep(conn, cx.job.id, window).await?)
        })
        .await?;
    match down {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds, shown with one decimal")]
        Some(down) => cx.log(&format!("The gateway was down for {:.1} s", down as f64 / 1000.0)).await,
        None => cx.log("The instance was stopped and stays stopped").await,
    }
}

/// Clears the pending marks if the instance has everything that its owner wants.
async fn settle_pending(cx: &JobContext, instance: &Instance) -> Result<(), StepError> {
    let has = serde_json::to_value(instance.settings()).map_err(unreadable)?;
    cx.fenced(async |conn| Ok(instance::clear_pending(conn, &instance.id, &has).await?)).await
}

/// Undo of [`keep`]: the change is under way again, and what it applied is pending again.
pub(super) async fn reopen(cx: &JobContext) -> Result<(), StepError> {
    let change = current(cx).await?;
    cx.fenced(async |conn| {
        let reopened = snapshot::reopen(conn, cx.job.id).await?;
        if reopened && change.reason != ChangeReason::Rollback && change.from_settings != change.to_settings {
            instance::pend_again(conn, &change.instance_id, &change.to_settings).await?;
        }
        Ok(())
    })
    .await
}

/// Undo of [`take_snapshot`]: restores the files as they were then.
pub(super) async fn put_files_back(cx: &JobContext) -> Result<(), StepError> {
    let change = current(cx).await?;
    if change.restored_at.is_some() {
        return Ok(());
    }
    // Nothing may write there in the meantime, whoever started it.
    container::stop(cx).await?;
    cx.ensure_leased().await?;
    match cx.env.files.restore_snapshot(&change.instance_id, change.id, false).await {
        // The snapshot was never completed, so nothing was changed after it and there is nothing to restore.
        Err(error) if error.is_not_found() && change.files.is_none() => return Ok(()),
        other => other?,
    }
    kill_point(cx.job.kind.as_str(), "put_files_back", "restored");
    cx.fenced(async |conn| Ok(snapshot::note_restored(conn, cx.job.id).await?)).await
}

/// Undo of [`stop_gateway`]: restores image and settings, and starts the gateway if it ran, unless it is to be deleted.
pub(super) async fn resume_gateway(cx: &JobContext) -> Result<(), StepError> {
    let change = current(cx).await?;
    let settings = change.from_settings().map_err(unreadable)?;
    let from =
        ContainerSource { image: &change.from_image, version: change.from_version.as_deref(), settings: &settings };
    set_source(cx, from).await?;
    port::reserve(cx).await?;
    container::create_network(cx).await?;
    container::create(cx).await?;
    if !change.ran_before.unwrap_or(change.was_running) || before_delete::leaves_stopped(cx).await? {
        return Ok(());
    }
    container::start_at_once(cx).await?;
    let waited = tokio::select! {
        waited = ready::wait(cx) => waited,
        asked = before_delete::asked_for(cx) => {
            asked?;
            boot::leave(cx).await?;
            return container::stop(cx).await;
        }
    };
    let came_back = match waited {
        Ok(()) => true,
        // The old state is restored. If the gateway does not answer, the instance's status shows it.
        Err(StepError::Permanent(failure)) => {
            cx.log(&format!("The gateway does not answer with the old image either: {failure}")).await?;
            if failure.code == ready::SLOW {
                return Ok(());
            }
            false
        }
        Err(other) => return Err(other),
    };
    // Tells a rollout what caused the failure.
    cx.fenced(async |conn| Ok(snapshot::note_came_back(conn, cx.job.id, came_back).await?)).await
}

/// Everything is as before. Removes the snapshot.
pub(super) async fn forget(cx: &JobContext) -> Result<(), StepError> {
    // A job that found nothing to do, or could not begin, recorded nothing.
    let Some(change) = snapshot::of_job(&mut *cx.env.db.conn().await?, cx.job.id).await? else { return Ok(()) };
    if !change.is_spent() {
        return Err(StepError::permanent("files_not_put_back", "The files were not restored, so the snapshot stays."));
    }
    cx.ensure_leased().await?;
    cx.env.files.remove_snapshot(&change.instance_id, change.id).await?;
    cx.fenced(async |conn| {
        instance::clear_pending(conn, &change.instance_id, &change.from_settings).await?;
        Ok(snapshot::note_rolled_back(conn, cx.job.id).await?)
    })
    .await?;
    cx.log("Rolled back: image, settings and files are as they were before").await
}
