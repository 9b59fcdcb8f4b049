//! How an attempt leaves a job: ended, with the change to its instance, or handed back.

use clawdeploy_shared::{
    db::{instance, instance::Fault, job, lease, sleep, snapshot, warm_pool},
    instance::InstanceStatus,
    job::{JobKind, JobStatus},
};

use super::completion::CompletionBatch;
use crate::{
    job::{context::JobContext, error::StepError},
    jobs::{self, Outcome, Plan},
    kill_point::kill_point,
    observe,
    steps::keep,
};

/// How an attempt left its job.
#[derive(Debug)]
pub(super) enum Left {
    Ended(JobStatus),
    Retry,
    HandedBack,
    LeaseLost,
}

/// Ends a job whose steps are all done.
pub(super) async fn succeed(
    cx: &JobContext,
    plan: &Plan,
    completions: &CompletionBatch,
    message: &str,
) -> Result<(), StepError> {
    match plan.succeeded {
        Outcome::None => Ok(cx.signals.leave(completions.succeed(cx.lease.clone())).await?),
        outcome => end(cx, outcome, JobStatus::Succeeded, message, None).await,
    }
}

/// Ends the job and changes its instance accordingly, in one transaction.
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
    let ended = cx.fenced(async |conn| {
        kill_point(cx.job.kind.as_str(), "end", "during");
        // A cancel that was accepted after the last check is obeyed too: it has already changed the instance's desired
        // state.
        if status == JobStatus::Succeeded
            && jobs::plan(&cx.job).cancellable
            && job::cancel_requested(conn, cx.job.id).await?
        {
            return Err(StepError::Cancelled);
        }
        match (outcome, &observed, &cx.job.instance_id) {
            // A job that was refused because of a stuck change must not hide that the instance needs a repair.
            (outcome, _, Some(id))
                if outcome != Outcome::Forgotten
                    && snapshot::stuck_on(conn, id).await?.is_some_and(|s| s.job_id != cx.job.id) => {}
            (Outcome::Status(next), _, Some(id)) => {
                let fault = fault.filter(|_| next == InstanceStatus::Error);
                instance::set_status(conn, id, next, fault).await?;
            }
            (Outcome::AsObserved, Some(seen), Some(id)) => {
                instance::set_status(conn, id, seen.status, seen.fault()).await?;
                if status == JobStatus::Failed && sleep::falls_asleep(&cx.job) && seen.status != InstanceStatus::Stopped
                {
                    sleep::stay_awake(conn, id).await?;
                }
            }
            (Outcome::Forgotten, _, Some(id)) => {
                keep::note_deleted(conn, cx, id, kept).await?;
                instance::delete(conn, id).await?;
            }
            (Outcome::Dropped, _, Some(id)) => warm_pool::forget(conn, id).await?,
            _ => {}
        }
        if let Some(id) = &cx.job.instance_id
            && status == JobStatus::Succeeded
            && !matches!(cx.job.kind, JobKind::WarmUp | JobKind::Discard)
        {
            warm_pool::hand_over(conn, id).await?;
        }
        Ok(lease::finish(conn, &cx.lease, status, message).await?)
    });
    cx.signals.leave(ended).await?;
    kill_point(cx.job.kind.as_str(), "end", "after");
    cx.env.routes.nudge();
    Ok(())
}

/// Hands the job to another worker, because this one drains or stands by.
pub(super) async fn hand_back(cx: &JobContext) -> Result<Left, StepError> {
    let mut conn = cx.env.db.conn().await?;
    cx.signals.leave(lease::hand_back(&mut conn, &cx.lease)).await?;
    Ok(Left::HandedBack)
}
