//! Removes an instance from the warm pool, with its files: nobody has ever used it.

use super::{Outcome, Plan, PlannedStep};
use crate::steps::Step;

pub(super) const PLAN: Plan = Plan {
    during: None,
    steps: &[
        PlannedStep::new(Step::CheckUnowned),
        PlannedStep::new(Step::Unroute),
        PlannedStep::new(Step::RemoveContainer),
        PlannedStep::new(Step::RemoveNetwork),
        PlannedStep::new(Step::DropDirectories),
    ],
    succeeded: Outcome::Dropped,
    cancelled: Outcome::None,
    failed: Outcome::None,
    cancellable: false,
};
