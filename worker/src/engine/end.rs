//! How a job is left: ended, with what that means for its instance, or handed back.

use clawdeploy_shared::{
    db::{instance, instance::Fault, job, lease, snapshot},
    instance::InstanceStatus,
    job::JobStatus,
};

use super::completion::CompletionBatch;
use crate::{
    job::{context::JobContext, error::StepError},
    jobs::{self, Outcome, Plan},
    kill_point::kill_point,
    observe,
    steps::keep,
};

/// How a job was left.
#[derive(Debug)]
pub(super) enum Left {
    Ended(JobStatus),
    Retry,
    HandedBack,
    LeaseLost,
}

/// Ends a job all of whose steps are done.
pub(super) async fn succeed(
    cx: &JobContext,
    plan: &Plan,
    completions: &CompletionBatch,
    message: &str,
) -> Result<(), StepError> {
    match plan.succeeded {
        Outcome::None => Ok(completions.succeed(cx.lease.clone()).await?),
        outcome => end(cx, outcome, JobStatus::Succeeded, message, None).await,
    }
}

/// Ends the job and says what that means for its instance, in one transaction.
pub(super) async fn end(
    cx: &JobContext,
    outcome: Outcome,
    status: JobStatus,
    message: &str,
    fault: Option<Fault<'_>>,
) -> Result<(), StepError> {
    let observed = match outcome {
        Outcome::AsObserved => Some(observe::observe(&cx.env, cx.instance_id()?).await?),
        _ => None,
    };
    let kept = outcome == Outcome::Forgotten && keep::has_kept_files(cx).await?;
    kill_point(cx.job.kind.as_str(), "end", "before");
    cx.fenced(async |conn| {
        // A request that was accepted after the last look is obeyed too: it has said already what the instance is to be.
        if status == JobStatus::Succeeded
            && jobs::plan(cx.job.kind).cancellable
            && job::cancel_requested(conn, cx.job.id).await?
        {
            return Err(StepError::Cancelled);
        }
        match (outcome, &observed, &cx.job.instance_id) {
            // A job that was refused for it must not hide that there is something to repair.
            (outcome, _, Some(id))
                if outcome != Outcome::Forgotten
                    && snapshot::stuck_on(conn, id).await?.is_some_and(|s| s.job_id != cx.job.id) => {}
            (Outcome::Status(next), _, Some(id)) => {
                let fault = fault.filter(|_| next == InstanceStatus::Error);
                instance::set_status(conn, id, next, fault).await?;
            }
            (Outcome::AsObserved, Some(seen), Some(id)) => {
                instance::set_status(conn, id, seen.status, seen.fault()).await?;
            }
            (Outcome::Forgotten, _, Some(id)) => {
                keep::note_deleted(conn, cx, id, kept).await?;
                instance::delete(conn, id).await?;
            }
            _ => {}
        }
        Ok(lease::finish(conn, &cx.lease, status, message).await?)
    })
    .await?;
    kill_point(cx.job.kind.as_str(), "end", "after");
    cx.env.routes.nudge();
    Ok(())
}

/// Lets another worker go on with a job, for this one is told to leave.
pub(super) async fn hand_back(cx: &JobContext) -> Result<Left, StepError> {
    lease::hand_back(&mut *cx.env.db.conn().await?, &cx.lease).await?;
    Ok(Left::HandedBack)
}
