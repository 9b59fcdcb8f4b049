//! Takes a new row to a gateway that answers. A failed provision leaves only the row, in `error`.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Provisioning),
    steps: &[
        PlannedStep::new(Step::FindImage),
        PlannedStep::undone_by(Step::ReservePort, Undo::ReleasePort),
        PlannedStep::undone_by(Step::CreateDirectories, Undo::RemoveDirectories),
        PlannedStep::new(Step::WriteConfig),
        PlannedStep::undone_by(Step::CreateNetwork, Undo::RemoveNetwork),
        PlannedStep::undone_by(Step::CreateContainer, Undo::RemoveContainer),
        PlannedStep::new(Step::StartContainer),
        PlannedStep::new(Step::WaitUntilReady),
        PlannedStep::undone_by(Step::Route, Undo::Unroute),
    ],
    succeeded: Outcome::Status(InstanceStatus::Running),
    cancelled: Outcome::Status(InstanceStatus::Error),
    failed: Outcome::Status(InstanceStatus::Error),
    cancellable: true,
};
