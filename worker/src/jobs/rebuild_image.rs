//! Builds the image that all instances share.

use super::{Outcome, Plan, PlannedStep};
use crate::steps::Step;

pub(super) const PLAN: Plan = Plan {
    during: None,
    steps: &[PlannedStep::new(Step::BuildImage)],
    succeeded: Outcome::None,
    cancelled: Outcome::None,
    failed: Outcome::None,
    cancellable: true,
};
