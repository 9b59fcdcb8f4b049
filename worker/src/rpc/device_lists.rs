//! The devices of each instance as they were last listed.
//!
//! A list is a command in the container, which takes a second or two of CPU and 200 MiB. All who ask within a few
//! seconds share one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clawdeploy_shared::{
    ids::InstanceId,
    rpc::{Devices, NoArguments},
};
use tokio::time::Instant;

use super::{Rpc, openclaw::Gateway, refusal::Refused};
use crate::runtime::Reference;

/// How old a list may be when it is asked for. Shorter than the UI's interval, so that each poll of a single tab is
/// answered by the gateway.
const FRESH: Duration = Duration::from_secs(5);

/// The last lists. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct DeviceLists(Arc<Mutex<HashMap<Reference, List>>>);

#[derive(Debug)]
struct List {
    /// When the gateway was asked.
    asked_at: Instant,
    devices: Devices,
}

/// The devices of an instance. Waits for a slot only if the last list is too old.
pub(super) async fn list(
    rpc: &Rpc,
    instance: &InstanceId,
    container: Reference,
    _: NoArguments,
) -> Result<Devices, Refused> {
    let called_at = Instant::now();
    if let Some(devices) = rpc.device_lists.as_of(&container, called_at) {
        return Ok(devices);
    }
    let gateway = Gateway::take(rpc, instance, container.clone()).await?;
    // Another call has asked while this one waited for its turn.
    if let Some(devices) = rpc.device_lists.as_of(&container, called_at) {
        return Ok(devices);
    }
    let asked_at = Instant::now();
    let devices = gateway.devices().await?;
    rpc.device_lists.keep(container, List { asked_at, devices: devices.clone() });
    Ok(devices)
}

impl DeviceLists {
    /// The list of a container, if it is fresh enough for a call at this time.
    fn as_of(&self, container: &Reference, called_at: Instant) -> Option<Devices> {
        let lists = self.lists();
        let list = lists.get(container).filter(|list| list.asked_at + FRESH >= called_at)?;
        Some(list.devices.clone())
    }

    fn keep(&self, container: Reference, list: List) {
        let mut lists = self.lists();
        lists.retain(|_, list| list.asked_at.elapsed() <= FRESH);
        lists.insert(container, list);
    }

    /// Forgets the list of a container whose devices may have changed. The caller holds the gateway, so no other list is
    /// under way.
    pub(super) fn forget(&self, container: &Reference) {
        self.lists().remove(container);
    }

    fn lists(&self) -> MutexGuard<'_, HashMap<Reference, List>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shared_for_some_seconds_until_something_changes() {
        let (lists, asked_at) = (DeviceLists::default(), Instant::now());
        let (container, other) = (Reference::new("one"), Reference::new("two"));
        let devices = Devices { pending: Vec::new(), paired: Vec::new(), left_out: 7 };
        lists.keep(container.clone(), List { asked_at, devices: devices.clone() });
        assert_eq!(lists.as_of(&container, asked_at + FRESH), Some(devices));
        assert_eq!(lists.as_of(&container, asked_at + FRESH + Duration::from_millis(1)), None);
        assert_eq!(lists.as_of(&other, asked_at), None);
        lists.forget(&container);
        assert_eq!(lists.as_of(&container, asked_at), None);
    }
}
