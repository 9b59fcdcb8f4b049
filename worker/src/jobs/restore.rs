//! Brings an instance back whose files were kept, or whose directory was found: as it was, under its id. Where it does not come up
//! its files stay in their place and the row in `error`, from where it can be started or deleted like any other.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Provisioning),
    steps: &[
        PlannedStep::new(Step::FindImage),
        // That of an unclaimed one may run, on a port and a network that the database knows nothing of.
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
