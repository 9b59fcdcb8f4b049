//! Stops and starts an instance in one job.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Starting),
    steps: &[
        PlannedStep::new(Step::Unroute),
        // Once: after a crash, a later attempt must not stop what an earlier one started.
        PlannedStep::once(Step::StopContainer, Some(Undo::StartContainer)),
        PlannedStep::new(Step::FindImage),
        PlannedStep::new(Step::ReservePort),
        PlannedStep::new(Step::CreateDirectories),
        PlannedStep::new(Step::WriteConfig),
        PlannedStep::new(Step::CreateNetwork),
        PlannedStep::new(Step::CreateContainer),
        PlannedStep::new(Step::StartContainer),
        PlannedStep::new(Step::WaitUntilReady),
        PlannedStep::undone_by(Step::Route, Undo::Unroute),
    ],
    succeeded: Outcome::Status(InstanceStatus::Running),
    cancelled: Outcome::AsObserved,
    failed: Outcome::Status(InstanceStatus::Error),
    cancellable: true,
};
