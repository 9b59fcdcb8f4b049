//! Limits concurrent commands: each takes a core and hundreds of megabytes.
//!
//! One command at a time runs in a container, because two beside the gateway would reach its memory limit. Over all
//! containers of a worker there are few, and owners share them: a tenant whose commands hang must not keep the links of
//! others.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clawdeploy_shared::{
    fair_slots::FairSlots,
    ids::{InstanceId, UserId},
};
use tokio::{sync::oneshot, time::timeout};

/// Commands per worker, over all containers.
const PER_WORKER: usize = 4;

/// Hands out permits.
#[derive(Debug, Clone)]
pub(super) struct Runs(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    slots: FairSlots,
    /// Instances in which a command runs.
    instances: HashSet<InstanceId>,
    /// Calls that wait, in order of arrival.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    instance: InstanceId,
    owner: UserId,
    granted: oneshot::Sender<Permit>,
}

/// A permit, held until dropped.
#[derive(Debug)]
pub(super) struct Permit {
    runs: Runs,
    instance: InstanceId,
    owner: UserId,
}

impl Default for Runs {
    fn default() -> Self {
        Self::new(PER_WORKER)
    }
}

impl Runs {
    /// Permits for this many at once, over all instances.
    pub(super) fn new(slots: usize) -> Self {
        let state = State { slots: FairSlots::new(slots), instances: HashSet::new(), waiting: VecDeque::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits at most `patience` for a permit on an instance of `owner`, in order of arrival among those that may have
    /// one. `None`: there was none.
    pub(super) async fn acquire(&self, instance: &InstanceId, owner: UserId, patience: Duration) -> Option<Permit> {
        let (granted, grant) = oneshot::channel();
        self.state().waiting.push_back(Waiting { instance: instance.clone(), owner, granted });
        self.grant();
        timeout(patience, grant).await.ok()?.ok()
    }

    /// Gives permits to those that wait and may have one.
    fn grant(&self) {
        let mut refused = Vec::new();
        let mut state = self.state();
        let mut waiting = std::mem::take(&mut state.waiting);
        waiting.retain(|next| !next.granted.is_closed());
        for next in waiting {
            if !state.slots.may_take(Some(next.owner)) || state.instances.contains(&next.instance) {
                state.waiting.push_back(next);
                continue;
            }
            state.slots.take(Some(next.owner));
            state.instances.insert(next.instance.clone());
            let permit = Permit { runs: self.clone(), instance: next.instance, owner: next.owner };
            refused.extend(next.granted.send(permit).err());
        }
        // A permit whose caller has just left returns to the others when it is dropped. That takes the lock.
        drop(state);
        drop(refused);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.runs.state();
        state.slots.give_back(Some(self.owner));
        state.instances.remove(&self.instance);
        drop(state);
        self.runs.grant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(10);

    /// Permits on other instances, as many as `owner` gets.
    async fn all(runs: &Runs, owner: UserId) -> Vec<Permit> {
        let mut permits = Vec::new();
        while let Some(permit) = runs.acquire(&InstanceId::random(), owner, SOON).await {
            permits.push(permit);
        }
        permits
    }

    #[tokio::test]
    async fn one_instance_at_a_time() {
        let (runs, owner) = (Runs::default(), UserId::generate());
        let (busy, other) = (InstanceId::random(), InstanceId::random());
        let first = runs.acquire(&busy, owner, SOON).await.unwrap();
        assert!(runs.acquire(&busy, owner, SOON).await.is_none());
        assert!(runs.acquire(&other, owner, SOON).await.is_some());
        drop(first);
        assert!(runs.acquire(&busy, owner, SOON).await.is_some());
    }

    #[tokio::test]
    async fn few_in_all() {
        let runs = Runs::default();
        let mut held = Vec::new();
        for _ in 0..PER_WORKER {
            held.push(runs.acquire(&InstanceId::random(), UserId::generate(), SOON).await.unwrap());
        }
        assert!(runs.acquire(&InstanceId::random(), UserId::generate(), SOON).await.is_none());
        held.pop();
        assert!(runs.acquire(&InstanceId::random(), UserId::generate(), SOON).await.is_some());
    }

    #[tokio::test]
    async fn hanging_commands_of_an_owner_do_not_delay_another() {
        let (runs, ann, bob) = (Runs::default(), UserId::generate(), UserId::generate());
        let hanging = all(&runs, ann).await;
        assert_eq!(hanging.len(), PER_WORKER / 2);
        // More of them wait, and came first.
        let on = InstanceId::random();
        let mut waiting = std::pin::pin!(runs.acquire(&on, ann, LATE));
        assert!(timeout(Duration::ZERO, waiting.as_mut()).await.is_err());
        let other = runs.acquire(&InstanceId::random(), bob, SOON).await;
        assert!(other.is_some(), "another owner waits for hanging commands");
        drop(hanging);
        assert!(waiting.await.is_some(), "who waits is next once there is room");
    }

    #[tokio::test]
    async fn whoever_leaves_takes_nothing_along() {
        let (runs, owner) = (Runs::default(), UserId::generate());
        let on = InstanceId::random();
        let first = runs.acquire(&on, owner, SOON).await.unwrap();
        assert!(runs.acquire(&on, owner, SOON).await.is_none());
        drop(first);
        drop(runs.acquire(&on, owner, SOON).await.unwrap());
        let state = runs.state();
        assert_eq!((state.slots.taken(), state.instances.len(), state.waiting.len()), (0, 0, 0));
    }
}
