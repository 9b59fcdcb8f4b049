//! What each kind of job consists of: a list of steps, each with the way back.
//!
//! Plans are data. How they are run, written down, taken up again after a crash and undone is the same for all and
//! lives in [`crate::engine`].

use clawdeploy_shared::{instance::InstanceStatus, job::JobKind};

use crate::steps::{Step, Undo};

mod delete;
mod noop;
mod provision;
mod rebuild_image;
mod recreate;
mod restart;
mod restore;
mod start;
mod stop;
mod update_all;

/// One step of a plan.
#[derive(Debug, Clone, Copy)]
pub struct PlannedStep {
    pub step: Step,
    /// The way back, for a job that is cancelled or fails for good. It looks at the world, so it is right whether the
    /// step was done, half done or not at all.
    pub undo: Option<Undo>,
    /// Not run again by a later attempt once it is done: running it twice is not the same as running it once.
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

/// What becomes of the instance when its job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has this status.
    Status(InstanceStatus),
    /// Whatever its container shows.
    AsObserved,
    /// Its row goes.
    Forgotten,
    /// The job is on no instance.
    None,
}

/// A kind of job.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Status of the instance while the job runs.
    pub during: Option<InstanceStatus>,
    pub steps: &'static [PlannedStep],
    pub succeeded: Outcome,
    /// After it was cancelled and undone.
    pub cancelled: Outcome,
    /// After it failed and was undone.
    pub failed: Outcome,
    /// Whether a request to cancel is obeyed once the job has begun.
    pub cancellable: bool,
}

/// The plan of a kind.
pub fn plan(kind: JobKind) -> &'static Plan {
    match kind {
        JobKind::Provision => &provision::PLAN,
        JobKind::Start => &start::PLAN,
        JobKind::Stop => &stop::PLAN,
        JobKind::Restart => &restart::PLAN,
        JobKind::Delete => &delete::PLAN,
        JobKind::RebuildImage => &rebuild_image::PLAN,
        JobKind::Update | JobKind::Recreate => &recreate::PLAN,
        JobKind::Rollback => &recreate::ROLLBACK,
        JobKind::UpdateAll => &update_all::PLAN,
        JobKind::Restore => &restore::PLAN,
        // A kind that this version does not know is never claimed: `lease::claim` asks for known ones only.
        JobKind::Noop | JobKind::Unknown => &noop::PLAN,
    }
}
