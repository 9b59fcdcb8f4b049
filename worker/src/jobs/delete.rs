//! Deletes an instance. Its audit entries and jobs remain.

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
    // The row is deleted last and frees the port: another instance must not get it while this one might still answer
    // there.
    succeeded: Outcome::Forgotten,
    cancelled: Outcome::AsObserved,
    failed: Outcome::Status(InstanceStatus::Error),
    // A deletion cannot be undone, so once begun it continues to its end.
    cancellable: false,
};
