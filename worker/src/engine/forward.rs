//! Takes a job through its steps, first to last.
//!
//! Each step is recorded before it begins and after it ends, by writes that fail once the lease is lost. A later
//! attempt decides from these entries and from what it finds, never from this process's memory.

use std::{collections::HashSet, time::Instant};

use clawdeploy_shared::{
    db::{Scope, instance, instance::Fault, job, job_event::NewJobEvent, lease, snapshot},
    instance::InstanceStatus,
    job::{JobEventKind, JobKind, JobStatus},
};

use super::entries::{entries, event};
use crate::{
    job::{context::JobContext, error::StepError},
    jobs::{Plan, PlannedStep},
    kill_point::kill_point,
};

/// Runs the remaining steps of the plan and stops at the first that fails.
pub(super) async fn run(cx: &JobContext, plan: &Plan) -> Result<(), StepError> {
    check_dependency(cx).await?;
    check_stuck(cx).await?;
    if let Some(status) = plan.during {
        set_status(cx, status, None).await?;
    }
    // Only a later attempt can find steps done.
    let done = if cx.job.attempt > 1 { entries(cx, JobEventKind::StepDone).await? } else { HashSet::new() };
    let total: u32 = plan.steps.iter().map(|s| s.step.weight()).sum();
    let mut weight = 0;
    for planned in plan.steps {
        cx.check()?;
        let progress = |weight: u32| i16::try_from(weight * 99 / total.max(1)).unwrap_or(99);
        let before = progress(weight);
        weight += planned.step.weight();
        if planned.once && done.contains(planned.step.as_str()) {
            continue;
        }
        run_step(cx, planned, before, progress(weight)).await?;
    }
    cx.check()
}

async fn run_step(cx: &JobContext, planned: &PlannedStep, before: i16, after: i16) -> Result<(), StepError> {
    let (kind, step) = (cx.job.kind.as_str(), planned.step);
    cx.note(&event(cx, JobEventKind::StepStarted, step.as_str(), step.title(), Some(before))).await?;
    kill_point(kind, step.as_str(), "before");
    let began = Instant::now();
    let result = step.run(cx).await;
    kill_point(kind, step.as_str(), "between");
    let duration_ms = i64::try_from(began.elapsed().as_millis()).ok();
    match result {
        Ok(()) => {
            let done = event(cx, JobEventKind::StepDone, step.as_str(), step.title(), Some(after));
            cx.note(&NewJobEvent { duration_ms, ..done }).await?;
            kill_point(kind, step.as_str(), "after");
            Ok(())
        }
        Err(error @ (StepError::Transient(_) | StepError::Permanent(_))) => {
            let message = error.to_string();
            let failed = event(cx, JobEventKind::StepFailed, step.as_str(), &message, None);
            cx.note(&NewJobEvent { duration_ms, ..failed }).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// Fails if the job that this one depends on did not succeed. It has ended, or this job could not have been claimed.
async fn check_dependency(cx: &JobContext) -> Result<(), StepError> {
    let Some(id) = cx.job.depends_on else { return Ok(()) };
    let needed = job::find(&mut *cx.env.db.conn().await?, Scope::Everything, id).await?;
    match needed {
        Some(needed) if needed.status != JobStatus::Succeeded => {
            let reason = needed.error_message.unwrap_or_else(|| format!("it was {}", needed.status));
            let message = format!("The {} job that this job depends on did not succeed: {reason}", needed.kind);
            Err(StepError::permanent("dependency_failed", message))
        }
        _ => Ok(()),
    }
}

/// Fails if an earlier change of the instance could not be undone: image and files may not match, and its snapshot is
/// still needed. Only a delete needs neither.
async fn check_stuck(cx: &JobContext) -> Result<(), StepError> {
    let Some(id) = cx.job.instance_id.as_ref().filter(|_| cx.job.kind != JobKind::Delete) else { return Ok(()) };
    let stuck = snapshot::stuck_on(&mut *cx.env.db.conn().await?, id).await?;
    match stuck.filter(|stuck| stuck.job_id != cx.job.id) {
        Some(stuck) => Err(StepError::permanent(
            lease::UNDO_FAILED,
            format!(
                "An earlier change of the instance could not be undone. An administrator must retry its job first \
                 (POST /api/admin/jobs/{}/retry).",
                stuck.job_id
            ),
        )),
        None => Ok(()),
    }
}

async fn set_status(cx: &JobContext, status: InstanceStatus, fault: Option<Fault<'_>>) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    let moved: bool = cx.fenced(async |conn| Ok(instance::set_status(conn, id, status, fault).await?)).await?;
    if moved {
        return Ok(());
    }
    let (instance, _) = cx.instance().await?;
    let message = format!("An instance in status {} cannot become {status}.", instance.status);
    Err(StepError::permanent("illegal_transition", message))
}
