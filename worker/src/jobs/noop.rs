//! Does nothing, so its duration is the engine's own. For benchmarks, and to check that a queue is served.

use super::{Outcome, Plan};

pub(super) const PLAN: Plan = Plan {
    during: None,
    steps: &[],
    succeeded: Outcome::None,
    cancelled: Outcome::None,
    failed: Outcome::None,
    cancellable: true,
};
