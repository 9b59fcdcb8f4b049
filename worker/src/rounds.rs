//! Work that a worker repeats at a fixed interval.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;

/// The rounds of a core task: `while rounds.next().await { … }`.
#[derive(Debug)]
pub(crate) struct Rounds {
    tick: Interval,
    draining: CancellationToken,
    identity: Identity,
}

impl Rounds {
    /// The first round is at once. A round that takes longer than `period` delays those after it.
    pub(crate) fn new(period: Duration, draining: CancellationToken, identity: Identity) -> Self {
        let mut tick = interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tick, draining, identity }
    }

    /// Waits for the next round. Leaves out those at which the worker stands by. False: it drains.
    pub(crate) async fn next(&mut self) -> bool {
        loop {
            tokio::select! {
                _ = self.tick.tick() => {}
                () = self.draining.cancelled() => return false,
            }
            if self.identity.belongs() {
                return true;
            }
        }
    }
}
