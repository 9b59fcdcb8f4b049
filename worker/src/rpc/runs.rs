//! Limits concurrent commands: each takes a core and hundreds of megabytes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use clawdeploy_shared::ids::InstanceId;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Per container: two beside the gateway would reach its memory limit.
const PER_INSTANCE: usize = 1;
/// Per worker, over all containers.
const PER_WORKER: usize = 4;

/// Hands out permits.
#[derive(Debug, Clone)]
pub(super) struct Runs {
    worker: Arc<Semaphore>,
    instances: Arc<Mutex<HashMap<InstanceId, Weak<Semaphore>>>>,
}

/// A permit, held until dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _instance: OwnedSemaphorePermit,
    _worker: OwnedSemaphorePermit,
}

impl Default for Runs {
    fn default() -> Self {
        Self { worker: Arc::new(Semaphore::new(PER_WORKER)), instances: Arc::default() }
    }
}

impl Runs {
    /// Waits at most `patience` for a permit on an instance, in order of arrival. `None`: there was none.
    pub(super) async fn acquire(&self, id: &InstanceId, patience: Duration) -> Option<Permit> {
        let instance = self.of(id);
        let wait = async {
            // The instance first: waiting for a busy one must not keep a permit from others.
            let instance = instance.acquire_owned().await.ok()?;
            let worker = Arc::clone(&self.worker).acquire_owned().await.ok()?;
            Some(Permit { _instance: instance, _worker: worker })
        };
        timeout(patience, wait).await.ok().flatten()
    }

    fn of(&self, id: &InstanceId) -> Arc<Semaphore> {
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = instances.get(id).and_then(Weak::upgrade) {
            return known;
        }
        instances.retain(|_, permits| permits.strong_count() > 0);
        let new = Arc::new(Semaphore::new(PER_INSTANCE));
        instances.insert(id.clone(), Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn one_instance_at_a_time_and_few_in_all() {
        let runs = Runs::default();
        let (busy, other) = (InstanceId::random(), InstanceId::random());
        let first = runs.acquire(&busy, SOON).await.unwrap();
        assert!(runs.acquire(&busy, SOON).await.is_none());
        assert!(runs.acquire(&other, SOON).await.is_some());
        drop(first);
        assert!(runs.acquire(&busy, SOON).await.is_some());

        let mut all = Vec::new();
        for _ in 0..PER_WORKER {
            all.push(runs.acquire(&InstanceId::random(), SOON).await.unwrap());
        }
        assert!(runs.acquire(&other, SOON).await.is_none());
        drop(all);
        assert!(runs.acquire(&other, SOON).await.is_some());
        assert_eq!(runs.instances.lock().unwrap().len(), 1, "those without a permit are forgotten");
    }
}
