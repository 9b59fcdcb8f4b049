//! When to ask a gateway again that did not answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clawdeploy_shared::ids::InstanceId;
use tokio::time::Instant;

/// After a failure, until then the command line is used.
const RETRY: Duration = Duration::from_mins(1);
/// Between two attempts at pairing: an owner may have removed our device, or a rollback made the gateway forget it.
const PAIR_AGAIN: Duration = Duration::from_mins(10);

/// The gateways that must wait. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts(Arc<Mutex<HashMap<InstanceId, Wait>>>);

#[derive(Debug, Clone, Copy)]
struct Wait {
    asked_from: Instant,
    paired_from: Instant,
}

impl Attempts {
    /// Whether the gateway may be asked.
    pub(crate) fn may_ask(&self, instance: &InstanceId, now: Instant) -> bool {
        self.waits().get(instance).is_none_or(|wait| wait.asked_from <= now)
    }

    /// Whether our device may be paired now, which counts as an attempt. If not, the gateway is not asked until it may.
    pub(crate) fn may_pair(&self, instance: &InstanceId, now: Instant) -> bool {
        self.change(instance, now, |wait| {
            let may = wait.paired_from <= now;
            if may {
                wait.paired_from = now + PAIR_AGAIN;
            } else {
                wait.asked_from = wait.paired_from;
            }
            may
        })
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, instance: &InstanceId, now: Instant) {
        self.change(instance, now, |wait| wait.asked_from = wait.asked_from.max(now + RETRY));
    }

    fn change<T>(&self, instance: &InstanceId, now: Instant, change: impl FnOnce(&mut Wait) -> T) -> T {
        let mut waits = self.waits();
        waits.retain(|_, wait| now < wait.asked_from.max(wait.paired_from));
        change(waits.entry(instance.clone()).or_insert(Wait { asked_from: now, paired_from: now }))
    }

    fn waits(&self) -> MutexGuard<'_, HashMap<InstanceId, Wait>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_forgets_us_is_paired_again_later() {
        let (attempts, now, id) = (Attempts::default(), Instant::now(), InstanceId::random());
        assert!(attempts.may_ask(&id, now) && attempts.may_pair(&id, now) && attempts.may_ask(&id, now));
        let soon = now + RETRY;
        assert!(!attempts.may_pair(&id, soon), "it was paired a minute ago");
        assert!(!attempts.may_ask(&id, now + PAIR_AGAIN - Duration::from_secs(1)), "asking would be in vain");
        assert!(attempts.may_ask(&id, now + PAIR_AGAIN) && attempts.may_pair(&id, now + PAIR_AGAIN));
    }

    #[test]
    fn a_failure_is_followed_by_a_pause() {
        let (attempts, now, id) = (Attempts::default(), Instant::now(), InstanceId::random());
        attempts.failed(&id, now);
        assert!(!attempts.may_ask(&id, now) && attempts.may_ask(&id, now + RETRY));
        assert!(attempts.may_ask(&InstanceId::random(), now));
        assert!(attempts.may_pair(&id, now + RETRY));
        attempts.failed(&id, now + RETRY);
        assert!(!attempts.may_ask(&id, now + RETRY) && attempts.may_ask(&id, now + 2 * RETRY));
    }
}
