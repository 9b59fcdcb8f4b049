//! Accepts changes (updates, rollbacks and settings changes), which replace the container of an instance.

use clawdeploy_shared::{
    db::{
        Conn, instance,
        instance::Instance,
        job::{self, Job, NewJob},
        snapshot,
    },
    ids::{InstanceId, JobId},
    instance::{DesiredState, InstanceStatus},
    job::JobKind,
};
use serde_json::{Value, json};

use crate::{
    audit::{Entry, Target},
    auth::Principal,
    error::{AppError, AppResult, ErrorCode},
    middleware::RequestContext,
    views::instance::current,
};

/// Locks the instance and checks that a change of this kind is possible. Returns the open job, if the same change was
/// already requested.
pub(super) async fn ready(
    conn: &mut Conn,
    who: &Principal,
    id: &InstanceId,
    kind: JobKind,
) -> AppResult<(Instance, Option<Job>)> {
    let found = instance::find_for_update(conn, who.scope(), id).await?;
    let instance = found.ok_or_else(|| AppError::not_found("instance"))?;
    let open = job::open_on(conn, id).await?;
    // A repeated update or rollback joins the open job. A settings change does not, because the settings may have
    // changed since that job was queued.
    if let [only] = &open[..]
        && only.kind == kind
        && kind != JobKind::ApplySettings
        && !only.is_taken_back()
    {
        let job = only.clone();
        return Ok((instance, Some(job)));
    }
    if let Some(open) = current(open) {
        return Err(AppError::job_in_progress(open.into()));
    }
    // First, because a stuck change can be the cause of the other obstacles.
    refuse_stuck(conn, id).await?;
    possible(&instance)?;
    Ok((instance, None))
}

/// Refuses an instance whose last change could not be undone: its image and files may not match, and its snapshot is
/// still needed.
pub async fn refuse_stuck(conn: &mut Conn, id: &InstanceId) -> AppResult<()> {
    if snapshot::stuck_on(conn, id).await?.is_none() {
        return Ok(());
    }
    let detail = "The last change of the instance could not be undone. An administrator has to retry its job first. What was \
                  kept before the change is still there, and the instance can be deleted.";
    Err(AppError::new(ErrorCode::UndoFailed, detail))
}

fn possible(instance: &Instance) -> AppResult<()> {
    let refuse = |detail: String| Err(AppError::new(ErrorCode::WrongStatus, detail));
    if instance.desired_state == DesiredState::Deleted {
        return refuse("The instance is being deleted. If the deletion failed, delete it again.".into());
    }
    match instance.status {
        InstanceStatus::Running | InstanceStatus::Stopped | InstanceStatus::Error
            if instance.container_id.is_some() =>
        {
            Ok(())
        }
        InstanceStatus::Stopped | InstanceStatus::Error => {
            refuse("The instance has no container yet, so there is nothing to replace. Start it.".into())
        }
        other => refuse(format!("The instance is currently {other}. Try again shortly.")),
    }
}

/// A change to queue.
pub(super) struct Change {
    pub(super) kind: JobKind,
    pub(super) payload: Value,
    /// Job that must succeed first.
    pub(super) after: Option<JobId>,
    pub(super) audit_action: &'static str,
}

/// Queues the job of a change and writes the audit entry.
pub(super) async fn queue(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    instance: &Instance,
    change: Change,
) -> AppResult<Job> {
    let new = NewJob {
        requested_by: Some(who.user.id),
        request_id: Some(&context.request_id),
        payload: change.payload,
        depends_on: change.after,
        ..NewJob::on_instance(change.kind, &instance.id, instance.owner_id)
    };
    let job = job::insert(conn, &new).await?;
    Entry::new(change.audit_action, Target::Instance(&instance.id))
        .owned_by(instance.owner_id)
        .detail(json!({ "jobId": job.id }))
        .by(conn, who, context)
        .await?;
    Ok(job)
}
