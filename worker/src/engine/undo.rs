//! Takes a job back through the undos of its steps, last to first, once it can only fail or be cancelled.
//!
//! The entries of the job say which steps to undo, so any attempt can continue. A failed undo is retried. If it is
//! given up, everything stays as it is until an administrator retries the job.

use clawdeploy_shared::{
    db::{Scope, instance::Fault, job, lease},
    job::{JobEventKind, JobStatus, UndoOutcome},
    telemetry::chain,
};

use super::{
    end::{Left, end, hand_back},
    entries::{entries, event},
};
use crate::{
    job::{context::JobContext, error::StepError},
    jobs::Plan,
    kill_point::kill_point,
    steps::Undo,
};

/// Records how the job will end and begins to undo it. This cannot be reversed.
pub(super) async fn decide(
    cx: &JobContext,
    plan: &Plan,
    end: UndoOutcome,
    fault: Option<Fault<'_>>,
) -> Result<Left, StepError> {
    lease::begin_undo(&mut *cx.env.db.conn().await?, &cx.lease, end, fault).await?;
    run(cx, plan).await
}

/// Undoes the begun steps, last first, and ends the job.
pub(super) async fn run(cx: &JobContext, plan: &Plan) -> Result<Left, StepError> {
    let begun = entries(cx, JobEventKind::StepStarted).await?;
    for planned in plan.steps.iter().rev().filter(|planned| begun.contains(planned.step.as_str())) {
        let Some(undo) = planned.undo else { continue };
        match undo_step(cx, undo).await {
            Ok(()) => {
                kill_point(cx.job.kind.as_str(), undo.as_str(), "undone");
                cx.note(&event(cx, JobEventKind::StepUndone, planned.step.as_str(), "Undone", None)).await?;
            }
            Err(error @ StepError::LeaseLost) => return Err(error),
            Err(StepError::Draining) => return hand_back(cx).await,
            Err(error) => {
                tracing::warn!(job.id = %cx.job.id, undo = undo.as_str(), error = chain(&error), "An undo failed");
                let message = error.to_string();
                cx.note(&event(cx, JobEventKind::StepFailed, planned.step.as_str(), &message, None)).await?;
                // The remaining undos depend on this one, so none of them runs.
                return failed(cx, error).await;
            }
        }
    }
    match conclude(cx, plan).await {
        // The instance could not be observed or its row not be written.
        Err(error @ (StepError::Transient(_) | StepError::Permanent(_))) => failed(cx, error).await,
        other => other,
    }
}

/// Retries the undo later, or gives it up.
pub(super) async fn failed(cx: &JobContext, error: StepError) -> Result<Left, StepError> {
    let message = error.to_string();
    let unreachable = is_unreachable(cx, &error).await;
    let mut conn = cx.env.db.conn().await?;
    if cx.signals.leave(lease::retry_undo(&mut conn, &cx.lease, unreachable, &message)).await? {
        return Ok(Left::Retry);
    }
    cx.signals.leave(lease::give_up_undo(&mut conn, &cx.lease, cx.job.instance_id.as_ref(), &message)).await?;
    tracing::error!(job.id = %cx.job.id, error = chain(&error), "Gave up on an undo");
    cx.env.routes.nudge();
    Ok(Left::Ended(JobStatus::Failed))
}

/// Whether an undo failed because a service was unreachable. After a timeout the engine is pinged: it may only have
/// been busy with this one call.
async fn is_unreachable(cx: &JobContext, error: &StepError) -> bool {
    error.is_unreachable() || (error.is_runtime_timeout() && cx.env.runtime.ping().await.is_err())
}

async fn undo_step(cx: &JobContext, undo: Undo) -> Result<(), StepError> {
    if cx.env.draining.is_cancelled() {
        return Err(StepError::Draining);
    }
    kill_point(cx.job.kind.as_str(), undo.as_str(), "undo");
    undo.run(cx).await
}

/// Ends an undone job as its row says.
async fn conclude(cx: &JobContext, plan: &Plan) -> Result<Left, StepError> {
    let row =
        job::find(&mut *cx.env.db.conn().await?, Scope::Everything, cx.job.id).await?.ok_or(StepError::LeaseLost)?;
    let message = row.error_message.unwrap_or_else(|| "The job failed.".into());
    if row.unwinding_to == Some(UndoOutcome::Cancelled) {
        let fault = Fault { code: "cancelled", message: "The job was cancelled before the instance was ready." };
        end(cx, plan.cancelled, JobStatus::Cancelled, "Cancelled and undone", Some(fault)).await?;
        Ok(Left::Ended(JobStatus::Cancelled))
    } else {
        let fault = Fault { code: row.error_code.as_deref().unwrap_or("job_failed"), message: &message };
        end(cx, plan.failed, JobStatus::Failed, &message, Some(fault)).await?;
        Ok(Left::Ended(JobStatus::Failed))
    }
}
