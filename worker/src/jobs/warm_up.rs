//! Makes an instance for the warm pool: a gateway that has booted without a way out, and is frozen. A failed one leaves
//! nothing.

use super::{Outcome, Plan, PlannedStep};
use crate::steps::{Step, Undo};

pub(super) const PLAN: Plan = Plan {
    // It stays `pending` until it is taken.
    during: None,
    steps: &[
        PlannedStep::new(Step::CheckUnowned),
        PlannedStep::new(Step::FindImage),
        PlannedStep::undone_by(Step::ReservePort, Undo::ReleasePort),
        PlannedStep::undone_by(Step::CreateDirectories, Undo::RemoveDirectories),
        PlannedStep::new(Step::WriteConfig),
        PlannedStep::undone_by(Step::CreateNetwork, Undo::RemoveNetwork),
        PlannedStep::undone_by(Step::CreateContainer, Undo::RemoveContainer),
        PlannedStep::new(Step::Seclude),
        PlannedStep::new(Step::StartContainer),
        PlannedStep::new(Step::WaitUntilReady),
        PlannedStep::undone_by(Step::Freeze, Undo::Withdraw),
    ],
    succeeded: Outcome::None,
    cancelled: Outcome::Dropped,
    failed: Outcome::Dropped,
    cancellable: true,
};
