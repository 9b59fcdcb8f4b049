//! Restores a deleted instance from its kept files, or an unclaimed directory, under the same id. If the gateway does
//! not answer, the files stay in place and the row stays in `error`, from where the instance can be started or deleted
//! like any other.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Provisioning),
    steps: &[
        PlannedStep::new(Step::FindImage),
        // The container of an unclaimed directory may run, with a port and a network that the database does not know.
        PlannedStep::once(Step::StopContainer, None),
        PlannedStep::new(Step::ReservePort),
        PlannedStep::new(Step::TakeFilesBack),
        PlannedStep::new(Step::WriteConfig),
        PlannedStep::new(Step::CreateNetwork),
        PlannedStep::new(Step::CreateContainer),
        PlannedStep::undone_by(Step::StartContainer, Undo::StopContainer),
        PlannedStep::new(Step::WaitUntilReady),
        PlannedStep::undone_by(Step::Route, Undo::Unroute),
    ],
    succeeded: Outcome::Status(InstanceStatus::Running),
    cancelled: Outcome::Status(InstanceStatus::Error),
    failed: Outcome::Status(InstanceStatus::Error),
    cancellable: true,
};
