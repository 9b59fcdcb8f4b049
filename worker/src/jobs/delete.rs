//! Everything of an instance goes; what remains is the audit log and its jobs.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::Step;

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Deleting),
    steps: &[
        PlannedStep::new(Step::Unroute),
        PlannedStep::new(Step::StopContainer),
        PlannedStep::new(Step::RemoveContainer),
        PlannedStep::new(Step::RemoveNetwork),
        PlannedStep::new(Step::RemoveDirectories),
    ],
    // The port goes with the row, last: nobody else gets it while anything of this instance might answer there.
    succeeded: Outcome::Forgotten,
    cancelled: Outcome::AsObserved,
    failed: Outcome::Status(InstanceStatus::Error),
    // What is gone cannot be brought back, so once it has begun it goes on to its end.
    cancellable: false,
};
