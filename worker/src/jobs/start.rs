//! Takes a stopped instance to a gateway that answers, and makes whatever is missing: a container that somebody
//! removed, a network, a port that another program took. Files and token stay.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Starting),
    steps: &[
        PlannedStep::new(Step::FindImage),
        PlannedStep::new(Step::ReservePort),
        PlannedStep::new(Step::CreateDirectories),
        PlannedStep::new(Step::WriteConfig),
        PlannedStep::new(Step::CreateNetwork),
        PlannedStep::new(Step::CreateContainer),
        PlannedStep::undone_by(Step::StartContainer, Undo::StopContainer),
        PlannedStep::new(Step::WaitUntilReady),
        PlannedStep::undone_by(Step::Route, Undo::Unroute),
    ],
    succeeded: Outcome::Status(InstanceStatus::Running),
    cancelled: Outcome::AsObserved,
    failed: Outcome::Status(InstanceStatus::Error),
    cancellable: true,
};
