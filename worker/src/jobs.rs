//! The plan of each kind of job: a list of steps, each with its undo.
//!
//! Plans are data. [`crate::engine`] runs, records, resumes and undoes all of them in the same way.

use clawdeploy_shared::{
    db::{frozen, job::Job, sleep},
    instance::InstanceStatus,
    job::JobKind,
};

use crate::steps::{Step, Undo};

mod change;
mod delete;
mod discard;
mod noop;
mod provision;
mod rebuild_image;
mod restart;
mod restore;
mod start;
mod stop;
mod update_all;
mod warm_up;

/// One step of a plan.
#[derive(Debug, Clone, Copy)]
pub struct PlannedStep {
    pub step: Step,
    /// Undoes the step when the job is cancelled or fails for good. It checks what is there, so it works whether the
    /// step was done, half done or not run at all.
    pub undo: Option<Undo>,
    /// A later attempt skips the step once it is done, because it is not idempotent.
    pub once: bool,
}

impl PlannedStep {
    const fn new(step: Step) -> Self {
        Self { step, undo: None, once: false }
    }

    const fn once(step: Step, undo: Option<Undo>) -> Self {
        Self { step, undo, once: true }
    }

    const fn undone_by(step: Step, undo: Undo) -> Self {
        Self { step, undo: Some(undo), once: false }
    }
}

/// What happens to the instance when its job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Set this status.
    Status(InstanceStatus),
    /// Set the status that its container shows.
    AsObserved,
    /// Delete its row.
    Forgotten,
    /// Delete its row, unless somebody owns it. Nothing is kept.
    Dropped,
    /// The job has no instance, or leaves it as it is.
    None,
}

/// A kind of job as data.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Status of the instance while the job runs.
    pub during: Option<InstanceStatus>,
    pub steps: &'static [PlannedStep],
    pub succeeded: Outcome,
    /// After the job was cancelled and undone.
    pub cancelled: Outcome,
    /// After the job failed and was undone.
    pub failed: Outcome,
    /// Whether a cancel is obeyed after the job has begun.
    pub cancellable: bool,
}

/// The plan of a job.
pub fn plan(job: &Job) -> &'static Plan {
    match job.kind {
        JobKind::Stop if frozen::stops_frozen(job) => &stop::WAS_FROZEN,
        JobKind::Stop if sleep::falls_asleep(job) => &stop::FALL_ASLEEP,
        kind => usual_plan(kind),
    }
}

/// The plan of a job of this kind that a person asked for.
pub fn usual_plan(kind: JobKind) -> &'static Plan {
    match kind {
        JobKind::Provision => &provision::PLAN,
        JobKind::Start => &start::PLAN,
        JobKind::Stop => &stop::PLAN,
        JobKind::Restart => &restart::PLAN,
        JobKind::Delete => &delete::PLAN,
        JobKind::RebuildImage => &rebuild_image::PLAN,
        JobKind::Update | JobKind::ApplySettings => &change::PLAN,
        JobKind::Rollback => &change::ROLLBACK,
        JobKind::UpdateAll => &update_all::PLAN,
        JobKind::Restore => &restore::PLAN,
        JobKind::WarmUp => &warm_up::PLAN,
        JobKind::Discard => &discard::PLAN,
        // `lease::claim` only claims kinds that this version knows, so it never claims `Unknown`.
        JobKind::Noop | JobKind::Unknown => &noop::PLAN,
    }
}
