//! Stops a running instance. Its files, port and container stay.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::Step;

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Stopping),
    // A stopping instance is not routed, and nginx knows before connections end.
    steps: &[PlannedStep::new(Step::Unroute), PlannedStep::new(Step::StopContainer)],
    succeeded: Outcome::Status(InstanceStatus::Stopped),
    cancelled: Outcome::AsObserved,
    failed: Outcome::Status(InstanceStatus::Error),
    cancellable: true,
};
