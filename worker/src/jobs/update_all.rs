//! Updates every instance that does not run the newest image: first one, then a tenth, then the rest.

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

pub(super) const PLAN: Plan = Plan {
    during: None,
    steps: &[PlannedStep::undone_by(Step::UpdateAll, Undo::LeaveRest)],
    succeeded: Outcome::None,
    cancelled: Outcome::None,
    failed: Outcome::None,
    cancellable: true,
};
