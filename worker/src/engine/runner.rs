//! Runs one claimed job, `forward` through its steps or back through their undos (`undo`), and decides what follows
//! from the attempt.

use std::time::{Duration, Instant};

use clawdeploy_shared::{
    db::{
        Scope,
        instance::Fault,
        job::{self, Job},
        lease::{self, Lease},
    },
    job::{JobStatus, UndoOutcome},
    metrics::{JOB_RETRIES, JOB_RUN_SECONDS, LEASES_LOST},
    telemetry::chain,
};
use rand::RngExt as _;

use super::{
    completion::CompletionBatch,
    end::{Left, hand_back, succeed},
    forward, undo,
};
use crate::{
    env::Env,
    job::{
        context::JobContext,
        error::{Failure, StepError},
        signals::Signals,
    },
    jobs::{self, Plan},
};

/// How long a worker tries to give a job back during an outage of the database. After that the reaper counts it as a
/// crash.
const GIVE_BACK_WITHIN: Duration = Duration::from_mins(10);

/// Runs a claimed job until it ends, is to be retried, or its lease is lost.
pub async fn run(env: Env, job: Job, lease: Lease, signals: Signals, completions: CompletionBatch) {
    let began = Instant::now();
    let (id, kind, attempt) = (job.id, job.kind, job.attempt);
    let instance_id = job.instance_id.as_ref().map(ToString::to_string);
    let (queue, request_id) = (job.queue, job.request_id.clone());
    // Boxed: the future holds the state of every step.
    let left = Box::pin(attempt_once(&env, job, lease.clone(), signals, completions)).await;
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
    // However the loss was noticed, by the renewals or by a write of the job: this worker lives and has stopped the job.
    if matches!(left, Ok(Left::LeaseLost)) && give_back_late(&env, &lease).await {
        tracing::warn!(job.id = %id, "Gave back a job whose lease could not be renewed");
        env.doorbell.ring(queue, id);
    }
    if matches!(left, Ok(Left::HandedBack)) || (env.draining.is_cancelled() && matches!(left, Ok(Left::Ended(_)))) {
        // This job, or the next one on its instance, is due now, and this worker takes no more.
        env.doorbell.ring(queue, id);
    }
}

/// Gives back a job that was stopped because its lease was lost, unless another worker has it by then, once the database
/// answers again. If that takes too long, the reaper takes the job back and counts a crash.
async fn give_back_late(env: &Env, lease: &Lease) -> bool {
    let limit = env.config.engine.lease;
    let until = Instant::now() + GIVE_BACK_WITHIN;
    while Instant::now() < until {
        let given = async { lease::give_back_late(&mut *env.db.conn().await?, lease).await };
        match tokio::time::timeout(limit, given).await {
            Ok(Ok(given)) => return given,
            Ok(Err(error)) => {
                tracing::debug!(job.id = %lease.job, error = chain(&error), "Could not give the job back yet");
                tokio::time::sleep(limit / 10).await;
            }
            Err(_) => {}
        }
    }
    false
}

/// Handles a panic in a step as a failed attempt.
pub async fn after_panic(env: &Env, job: &Job, lease: &Lease, panic: &tokio::task::JoinError) {
    tracing::error!(job.id = %job.id, job.kind = %job.kind, error = chain(panic), "A job panicked");
    let cx = JobContext {
        env: env.clone(),
        job: job.clone(),
        lease: lease.clone(),
        signals: Signals::default(),
        cancellable: false,
    };
    let failure = Failure { code: "panic", message: "A bug in the worker interrupted the job.".into(), source: None };
    if let Err(error) = panicked(&cx, StepError::Transient(failure)).await {
        tracing::warn!(job.id = %job.id, error = chain(&error), "Could not record a failed attempt");
    }
}

async fn panicked(cx: &JobContext, error: StepError) -> Result<Left, StepError> {
    // This attempt may have decided to undo the job before it panicked.
    let row = job::find(&mut *cx.env.db.conn().await?, Scope::Everything, cx.job.id).await?;
    if row.is_some_and(|row| row.unwinding_to.is_some()) {
        undo::failed(cx, error).await
    } else {
        failed(cx, error).await
    }
}

async fn attempt_once(
    env: &Env,
    job: Job,
    lease: Lease,
    signals: Signals,
    completions: CompletionBatch,
) -> Result<Left, StepError> {
    let plan = jobs::plan(&job);
    let begun = job.attempt > 1;
    let lost = signals.lost.clone();
    // A job that has not begun can be cancelled whatever its kind.
    let cancelled = job.cancel_requested_at.is_some() && (plan.cancellable || !begun);
    let undoing = job.unwinding_to;
    let cx = JobContext { env: env.clone(), cancellable: plan.cancellable && undoing.is_none(), job, lease, signals };
    let work = async move {
        if undoing.is_some() {
            return undo::run(&cx, plan).await;
        }
        if cancelled {
            let cx = JobContext { cancellable: false, ..cx };
            return undo::decide(&cx, plan, UndoOutcome::Cancelled, None).await;
        }
        let went = forward::run(&cx, plan).await;
        // From here on the attempt ends or undoes the job, and a cancel must not interrupt that.
        let cx = JobContext { cancellable: false, ..cx };
        let ended = match went {
            Ok(()) => succeed(&cx, plan, &completions, "Done").await,
            Err(StepError::Satisfied(message)) => succeed(&cx, plan, &completions, &message).await,
            Err(error) => return stopped(&cx, plan, error).await,
        };
        match ended {
            Ok(()) => Ok(Left::Ended(JobStatus::Succeeded)),
            Err(StepError::Cancelled) => undo::decide(&cx, plan, UndoOutcome::Cancelled, None).await,
            // The engine could not be observed: retry, as for any step.
            Err(error) if error.is_of_runtime() => failed(&cx, error).await,
            // The work is done, so failing to record it is not a failed attempt.
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

/// Decides what follows when a step did not succeed.
async fn stopped(cx: &JobContext, plan: &Plan, error: StepError) -> Result<Left, StepError> {
    match error {
        StepError::Cancelled => undo::decide(cx, plan, UndoOutcome::Cancelled, None).await,
        StepError::Draining => hand_back(cx).await,
        error => failed(cx, error).await,
    }
}

/// Retries the job after an error, or begins to undo it.
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
            let mut conn = cx.env.db.conn().await?;
            cx.signals.leave(lease::retry(&mut conn, &cx.lease, delay, fault)).await?;
            Ok(Left::Retry)
        }
        None => undo::decide(cx, jobs::plan(&cx.job), UndoOutcome::Failed, Some(fault)).await,
    }
}
