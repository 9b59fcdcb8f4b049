//! Keeps an instance's files beyond its row: the manifest beside them, the quarantine after a delete, and the way back.

use clawdeploy_shared::{
    db::{Conn, DbError, recoverable, warm_pool},
    ids::InstanceId,
    job::JobKind,
};

use super::{container, warm};
use crate::job::{
    context::JobContext,
    error::{Failure, StepError},
};

/// Creates the directories, or moves them back from the quarantine: a database restored from an older dump may list an
/// instance that was deleted since, and empty directories in their place would lose its files.
pub(super) async fn create_directories(cx: &JobContext) -> Result<(), StepError> {
    take_back(cx).await?;
    let id = cx.instance_id()?;
    cx.ensure_leased().await?;
    Ok(cx.env.files.create_for(id, cx.job.id).await?)
}

/// Moves the files of a restored instance back. Those of an unclaimed one are already in place.
pub(super) async fn take_files_back(cx: &JobContext) -> Result<(), StepError> {
    take_back(cx).await?;
    let id = cx.instance_id()?;
    if !cx.env.files.exists(id).await? {
        let message = "The files of this instance are not on this server, neither in the data directory nor in the \
                       quarantine. An administrator must put them back, for example from a backup, and retry the \
                       job. Otherwise, delete the instance.";
        return Err(StepError::permanent("files_gone", message));
    }
    cx.ensure_leased().await?;
    Ok(cx.env.files.create(id).await?)
}

async fn take_back(cx: &JobContext) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    cx.ensure_leased().await?;
    cx.env.files.take_back(id).await?;
    if cx.env.files.is_quarantined(id).await? {
        cx.log("The data directory already has files of this instance, so the older ones stay in the quarantine")
            .await?;
        return Ok(());
    }
    cx.fenced(async |conn| Ok(recoverable::settle(conn, id).await?)).await
}

/// Undo of [`create_directories`]: removes what this job made, or found made for the warm pool. Files of an instance that
/// ran before stay.
pub(super) async fn remove_new_directories(cx: &JobContext) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    let origin = warm_pool::origin(&mut *cx.env.db.conn().await?, id).await?;
    if let Some(origin) = origin.filter(|_| cx.job.kind == JobKind::Provision) {
        // The container of a warm gateway is older than the job, which may not have come to the step that has it.
        container::remove(cx).await?;
        container::remove_network(cx).await?;
        warm::end(cx).await?;
        cx.ensure_leased().await?;
        if cx.env.files.remove_if_made_by(id, origin.warmed_by).await? {
            return Ok(());
        }
    }
    cx.ensure_leased().await?;
    if !cx.env.files.remove_if_made_by(id, cx.job.id).await? {
        cx.log("The instance's files are older than this job and stay").await?;
    }
    Ok(())
}

/// Moves the files to the quarantine, or removes them if there is nothing to keep.
pub(super) async fn remove_directories(cx: &JobContext) -> Result<(), StepError> {
    let (id, files) = (cx.instance_id()?, &cx.env.files);
    if cx.env.config.instances.deleted_keep.is_zero() {
        cx.ensure_leased().await?;
        files.remove(id).await?;
        return Ok(files.purge(id).await?);
    }
    write_manifest(cx).await?;
    cx.ensure_leased().await?;
    files.quarantine(id).await?;
    Ok(())
}

/// Writes the manifest from the instance's current row. An instance that nobody owns has none.
pub(super) async fn write_manifest(cx: &JobContext) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    let Some(manifest) = recoverable::manifest_of(&mut *cx.env.db.conn().await?, id).await? else { return Ok(()) };
    let bytes = manifest.to_bytes().map_err(|e| {
        StepError::Permanent(Failure {
            code: "manifest_failed",
            message: "The instance's manifest could not be written.".into(),
            source: Some(e.into()),
        })
    })?;
    cx.ensure_leased().await?;
    cx.env.files.write_manifest(id, bytes).await?;
    Ok(())
}

/// Whether files are kept of an instance whose row is about to be deleted.
pub async fn has_kept_files(cx: &JobContext) -> Result<bool, StepError> {
    Ok(cx.env.files.is_quarantined(cx.instance_id()?).await?)
}

/// Records what is kept of an instance, in the transaction that deletes its row.
pub async fn note_deleted(conn: &mut Conn, cx: &JobContext, id: &InstanceId, kept: bool) -> Result<(), DbError> {
    if !kept {
        return recoverable::forget(conn, id).await;
    }
    let by_owner = cx.job.requested_by.is_some() && cx.job.requested_by == cx.job.owner_id;
    let reason = if by_owner { "It was deleted by its owner." } else { "It was deleted by an administrator." };
    recoverable::keep_deleted(conn, id, reason, cx.env.config.instances.deleted_keep).await
}
