//! Stops a running instance. Its files, port and container stay.

use clawdeploy_shared::instance::InstanceStatus;

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

pub(super) const PLAN: Plan = Plan {
    during: Some(InstanceStatus::Stopping),
    // A stopping instance is not routed, and nginx knows before connections end.
    steps: &[PlannedStep::new(Step::Unroute), PlannedStep::new(Step::StopContainer)],
    succeeded: Outcome::Status(InstanceStatus::Stopped),
    cancelled: Outcome::AsObserved,
    failed: Outcome::Status(InstanceStatus::Error),
    cancellable: true,
};

/// Lets an idle instance fall asleep: its gateway is frozen, or stopped.
pub(super) const FALL_ASLEEP: Plan = Plan {
    steps: &[PlannedStep::new(Step::Unroute), PlannedStep::undone_by(Step::StopContainer, Undo::ThawGateway)],
    // It is neither broken nor asleep.
    failed: Outcome::AsObserved,
    ..PLAN
};

/// Stops the frozen gateway of an instance that sleeps on, or shows an error.
pub(super) const WAS_FROZEN: Plan = Plan {
    during: None,
    steps: &[PlannedStep::new(Step::StopContainer)],
    succeeded: Outcome::None,
    cancelled: Outcome::None,
    failed: Outcome::None,
    cancellable: true,
};
