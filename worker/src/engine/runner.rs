//! Takes one claimed job through its steps, or back through their undos.
//!
//! Every step is written down before it begins and after it ended, in writes that fail once the lease is lost. What a
//! later attempt does is decided from these entries and from the world, never from this process's memory.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use clawdeploy_shared::{
    db::{
        DbError, Scope, instance,
        instance::Fault,
        job::{self, Job},
        job_event::{self, NewJobEvent},
        lease::{self, Lease},
        snapshot,
    },
    instance::InstanceStatus,
    job::{JobEventKind, JobKind, JobStatus, Unwinding},
    metrics::{JOB_RETRIES, JOB_RUN_SECONDS, LEASES_LOST},
    telemetry::chain,
};
use rand::RngExt as _;

use super::ledger::Ledger;
use crate::{
    env::Env,
    job::{
        context::JobContext,
        error::{Failure, StepError},
        signals::Signals,
    },
    jobs::{self, Outcome, Plan, PlannedStep},
    kill_point::kill_point,
    observe,
    steps::{Undo, keep},
};

/// How long the database may be away before its jobs are taken for crashed.
const GIVE_BACK_WITHIN: Duration = Duration::from_mins(10);

/// How a job was left.
#[derive(Debug)]
enum Left {
    Ended(JobStatus),
    Retry,
    HandedBack,
    LeaseLost,
}

/// Runs a claimed job until it ends, is to be tried again, or is somebody else's.
pub async fn run(env: Env, job: Job, lease: Lease, signals: Signals, ledger: Ledger) {
    let began = Instant::now();
    let (id, kind, attempt) = (job.id, job.kind, job.attempt);
    let instance_id = job.instance_id.as_ref().map(ToString::to_string);
    let (queue, request_id) = (job.queue, job.request_id.clone());
    // On the heap: it holds the state of every step.
    let left = Box::pin(attempt_once(&env, job, lease.clone(), signals.clone(), ledger)).await;
    let outcome = match &left {
        Ok(Left::Ended(status)) => status.as_str(),
        Ok(Left::Retry) => "retry",
        Ok(Left::HandedBack) => "handed_back",
        Ok(Left::LeaseLost) => "lease_lost",
        Err(_) => "gave_up",
    };
    metrics::histogram!(JOB_RUN_SECONDS, "kind" => kind.as_str(), "outcome" => outcome).record(began.elapsed());
    if matches!(left, Ok(Left::LeaseLost)) {
        metrics::counter!(LEASES_LOST).increment(1);
    }
    let error = left.as_ref().err().map(|e| chain(e));
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(job.id = %id, job.kind = %kind, job.attempt = attempt, instance.id = instance_id, request.id = request_id, outcome, duration_ms, error, "Job attempt ended");
    if matches!(left, Ok(Left::LeaseLost)) && signals.lost.is_cancelled() && give_back_late(&env, &lease).await {
        tracing::warn!(job.id = %id, "Gave a job back whose lease could not be renewed");
        env.doorbell.ring(queue, id);
    }
    if matches!(left, Ok(Left::HandedBack)) || (env.draining.is_cancelled() && matches!(left, Ok(Left::Ended(_)))) {
        // It, or what waited behind it on its instance, is due now and not for this worker.
        env.doorbell.ring(queue, id);
    }
}

/// Gives a job back that was stopped because its lease could not be renewed, as soon as the database answers again. Whoever
/// does not get to it leaves it to the reaper, for whom the worker has crashed.
async fn give_back_late(env: &Env, lease: &Lease) -> bool {
    let limit = env.config.engine.lease;
    let until = Instant::now() + GIVE_BACK_WITHIN;
    while Instant::now() < until {
        let given = async { lease::give_back_late(&mut *env.db.conn().await?, lease).await };
        match tokio::time::timeout(limit, given).await {
            Ok(Ok(given)) => return given,
            Ok(Err(error)) => {
                tracing::debug!(job.id = %lease.job, error = chain(&error), "Could not give a job back yet");
                tokio::time::sleep(limit / 10).await;
            }
            Err(_) => {}
        }
    }
    false
}

/// What becomes of a job whose step panicked: a failed attempt like any other.
pub async fn after_panic(env: &Env, job: &Job, lease: &Lease, panic: &tokio::task::JoinError) {
    tracing::error!(job.id = %job.id, job.kind = %job.kind, error = chain(panic), "A job panicked");
    let cx = JobContext {
        env: env.clone(),
        job: job.clone(),
        lease: lease.clone(),
        signals: Signals::default(),
        cancellable: false,
    };
    let failure = Failure { code: "panic", message: "The worker met a bug while it ran the job.".into(), source: None };
    if let Err(error) = panicked(&cx, StepError::Transient(failure)).await {
        tracing::warn!(job.id = %job.id, error = chain(&error), "Could not write down a failed attempt");
    }
}

async fn panicked(cx: &JobContext, error: StepError) -> Result<Left, StepError> {
    // Decided in this very attempt, perhaps.
    let row = job::find(&mut *cx.env.db.conn().await?, Scope::Everything, cx.job.id).await?;
    if row.is_some_and(|row| row.unwinding_to.is_some()) {
        undo_failed(cx, error).await
    } else {
        failed(cx, error).await
    }
}

async fn attempt_once(env: &Env, job: Job, lease: Lease, signals: Signals, ledger: Ledger) -> Result<Left, StepError> {
    let plan = jobs::plan(job.kind);
    let begun = job.attempt > 1;
    let lost = signals.lost.clone();
    // A job that has not begun may be cancelled whatever its kind.
    let cancelled = job.cancel_requested_at.is_some() && (plan.cancellable || !begun);
    let unwinding = job.unwinding_to;
    let cx = JobContext { env: env.clone(), cancellable: plan.cancellable && unwinding.is_none(), job, lease, signals };
    let work = async move {
        if unwinding.is_some() {
            return unwind(&cx, plan).await;
        }
        if cancelled {
            let cx = JobContext { cancellable: false, ..cx };
            return decide(&cx, plan, Unwinding::Cancelled, None).await;
        }
        let went = forward(&cx, plan).await;
        // What it does from here on is its end or the way back, and that is not given up half way.
        let cx = JobContext { cancellable: false, ..cx };
        let ended = match went {
            Ok(()) => succeed(&cx, plan, &ledger, "Done").await,
            Err(StepError::Satisfied(message)) => succeed(&cx, plan, &ledger, &message).await,
            Err(error) => return stopped(&cx, plan, error).await,
        };
        match ended {
            Ok(()) => Ok(Left::Ended(JobStatus::Succeeded)),
            Err(StepError::Cancelled) => decide(&cx, plan, Unwinding::Cancelled, None).await,
            // What the engine did not show is looked at again, as in any step.
            Err(error) if error.is_of_docker() => failed(&cx, error).await,
            // The work is done; that this could not be written is no failed attempt at it.
            Err(error) => Err(error),
        }
    };
    // A step that hangs in a call must not outlive the lease.
    let left = tokio::select! {
        biased;
        () = lost.cancelled() => Err(StepError::LeaseLost),
        left = work => left,
    };
    match left {
        Err(StepError::LeaseLost) => Ok(Left::LeaseLost),
        other => other,
    }
}

/// What becomes of a job whose steps did not all succeed.
async fn stopped(cx: &JobContext, plan: &Plan, error: StepError) -> Result<Left, StepError> {
    match error {
        StepError::Cancelled => decide(cx, plan, Unwinding::Cancelled, None).await,
        StepError::Draining => hand_back(cx).await,
        error => failed(cx, error).await,
    }
}

/// Lets another worker go on with a job, for this one is told to leave.
async fn hand_back(cx: &JobContext) -> Result<Left, StepError> {
    lease::hand_back(&mut *cx.env.db.conn().await?, &cx.lease).await?;
    Ok(Left::HandedBack)
}

/// Fails if the job that this one depends on did not succeed. (It has ended, or this one had not been claimed.)
async fn check_dependency(cx: &JobContext) -> Result<(), StepError> {
    let Some(id) = cx.job.depends_on else { return Ok(()) };
    let needed = job::find(&mut *cx.env.db.conn().await?, Scope::Everything, id).await?;
    match needed {
        Some(needed) if needed.status != JobStatus::Succeeded => {
            let reason = needed.error_message.unwrap_or_else(|| format!("it was {}", needed.status));
            let message = format!("The {} that this job depends on did not succeed: {reason}", needed.kind);
            Err(StepError::permanent("dependency_failed", message))
        }
        _ => Ok(()),
    }
}

/// Fails where an earlier change of the instance could not be undone: image and files may not fit together, and what was
/// kept before it is still needed. Only a deletion needs neither.
async fn check_stuck(cx: &JobContext) -> Result<(), StepError> {
    let Some(id) = cx.job.instance_id.as_ref().filter(|_| cx.job.kind != JobKind::Delete) else { return Ok(()) };
    let stuck = snapshot::stuck_on(&mut *cx.env.db.conn().await?, id).await?;
    match stuck.filter(|stuck| stuck.job_id != cx.job.id) {
        Some(stuck) => Err(StepError::permanent(
            lease::UNDO_FAILED,
            format!(
                "An earlier change of the instance could not be undone. An administrator retries its job (POST \
                 /api/admin/jobs/{}/retry) first.",
                stuck.job_id
            ),
        )),
        None => Ok(()),
    }
}

async fn forward(cx: &JobContext, plan: &Plan) -> Result<(), StepError> {
    check_dependency(cx).await?;
    check_stuck(cx).await?;
    if let Some(status) = plan.during {
        set_status(cx, status, None).await?;
    }
    // Only an earlier attempt can have done something already.
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

/// An attempt ended in an error: the job is tried again, or it can only fail.
async fn failed(cx: &JobContext, error: StepError) -> Result<Left, StepError> {
    let (failure, permanent) = match error {
        StepError::Transient(failure) => (failure, false),
        StepError::Permanent(failure) => (failure, true),
        other => return Err(other),
    };
    tracing::warn!(job.id = %cx.job.id, job.kind = %cx.job.kind, code = failure.code, permanent, error = chain(&failure), "A step failed");
    let fault = Fault { code: failure.code, message: &failure.message };
    let failures = u32::try_from(cx.job.failures + 1).unwrap_or(u32::MAX);
    let delay = cx.job.kind.retries().delay(failures, rand::rng().random());
    match delay.filter(|_| !permanent) {
        Some(delay) => {
            metrics::counter!(JOB_RETRIES, "kind" => cx.job.kind.as_str(), "code" => failure.code).increment(1);
            lease::retry(&mut *cx.env.db.conn().await?, &cx.lease, delay, fault).await?;
            Ok(Left::Retry)
        }
        None => decide(cx, jobs::plan(cx.job.kind), Unwinding::Failed, Some(fault)).await,
    }
}

/// From here on the job can only end in one way.
async fn decide(cx: &JobContext, plan: &Plan, end: Unwinding, fault: Option<Fault<'_>>) -> Result<Left, StepError> {
    lease::unwind(&mut *cx.env.db.conn().await?, &cx.lease, end, fault).await?;
    unwind(cx, plan).await
}

/// Undoes the steps that were begun, last first, and ends the job.
async fn unwind(cx: &JobContext, plan: &Plan) -> Result<Left, StepError> {
    let begun = entries(cx, JobEventKind::StepStarted).await?;
    for planned in plan.steps.iter().rev().filter(|planned| begun.contains(planned.step.as_str())) {
        let Some(undo) = planned.undo else { continue };
        match run_undo(cx, undo).await {
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
                // The undos that are left count on this one, so none of them is run.
                return undo_failed(cx, error).await;
            }
        }
    }
    match conclude(cx, plan).await {
        // What the instance shows could not be looked at, or written.
        Err(error @ (StepError::Transient(_) | StepError::Permanent(_))) => undo_failed(cx, error).await,
        other => other,
    }
}

/// A job could not be undone this time: it is tried again, or given up.
async fn undo_failed(cx: &JobContext, error: StepError) -> Result<Left, StepError> {
    let message = error.to_string();
    let away = is_away(cx, &error).await;
    let mut conn = cx.env.db.conn().await?;
    if lease::retry_undo(&mut conn, &cx.lease, away, &message).await? {
        return Ok(Left::Retry);
    }
    lease::give_up_undo(&mut conn, &cx.lease, cx.job.instance_id.as_ref(), &message).await?;
    tracing::error!(job.id = %cx.job.id, error = chain(&error), "An undo was given up");
    cx.env.routes.nudge();
    Ok(Left::Ended(JobStatus::Failed))
}

/// Whether an undo failed because something could not be reached. An engine that did not answer in time may only have
/// been busy with this one thing; then it answers another question.
async fn is_away(cx: &JobContext, error: &StepError) -> bool {
    error.is_unreachable() || (error.is_docker_timeout() && cx.env.docker.ping().await.is_err())
}

async fn run_undo(cx: &JobContext, undo: Undo) -> Result<(), StepError> {
    if cx.env.draining.is_cancelled() {
        return Err(StepError::Draining);
    }
    kill_point(cx.job.kind.as_str(), undo.as_str(), "undo");
    undo.run(cx).await
}

/// Writes how an undone job ended, from what its row says.
async fn conclude(cx: &JobContext, plan: &Plan) -> Result<Left, StepError> {
    let row =
        job::find(&mut *cx.env.db.conn().await?, Scope::Everything, cx.job.id).await?.ok_or(StepError::LeaseLost)?;
    let message = row.error_message.unwrap_or_else(|| "The job failed.".into());
    if row.unwinding_to == Some(Unwinding::Cancelled) {
        let fault = Fault { code: "cancelled", message: "The job was cancelled before the instance was ready." };
        end(cx, plan.cancelled, JobStatus::Cancelled, "Cancelled, and what was done is undone", Some(fault)).await?;
        Ok(Left::Ended(JobStatus::Cancelled))
    } else {
        let fault = Fault { code: row.error_code.as_deref().unwrap_or("job_failed"), message: &message };
        end(cx, plan.failed, JobStatus::Failed, &message, Some(fault)).await?;
        Ok(Left::Ended(JobStatus::Failed))
    }
}

/// Ends a job all of whose steps are done.
async fn succeed(cx: &JobContext, plan: &Plan, ledger: &Ledger, message: &str) -> Result<(), StepError> {
    match plan.succeeded {
        Outcome::None => Ok(ledger.succeed(cx.lease.clone()).await?),
        outcome => end(cx, outcome, JobStatus::Succeeded, message, None).await,
    }
}

/// Ends the job and says what that means for its instance, in one transaction.
async fn end(
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

async fn set_status(cx: &JobContext, status: InstanceStatus, fault: Option<Fault<'_>>) -> Result<(), StepError> {
    let id = cx.instance_id()?;
    let moved: bool = cx.fenced(async |conn| Ok(instance::set_status(conn, id, status, fault).await?)).await?;
    if moved {
        return Ok(());
    }
    let (instance, _) = cx.instance().await?;
    let message = format!("An instance that is {} cannot become {status}.", instance.status);
    Err(StepError::permanent("illegal_transition", message))
}

/// Names of the steps that have an entry of this kind, in any attempt since the job was accepted.
async fn entries(cx: &JobContext, kind: JobEventKind) -> Result<HashSet<String>, DbError> {
    let events = job_event::list(&mut *cx.env.db.conn().await?, cx.job.id, 0, i64::MAX).await?;
    // A job that an admin put back begins anew.
    let anew = events.iter().rposition(|e| e.kind == JobEventKind::Accepted).unwrap_or(0);
    Ok(events.into_iter().skip(anew).filter(|e| e.kind == kind).filter_map(|e| e.step).collect())
}

fn event<'a>(
    cx: &JobContext,
    kind: JobEventKind,
    step: &'a str,
    message: &'a str,
    progress: Option<i16>,
) -> NewJobEvent<'a> {
    NewJobEvent { step: Some(step), progress, ..NewJobEvent::new(cx.job.id, cx.lease.attempt, kind, message) }
}
