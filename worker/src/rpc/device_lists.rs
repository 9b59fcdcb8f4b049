//! The devices of each instance as they were last listed.
//!
//! The gateway is asked over its WebSocket ([`gateway_rpc`](crate::gateway_rpc)), which takes tens of milliseconds. If
//! that fails, a command in the container lists them, which takes a second or two of CPU and 200 MiB. All who ask
//! within a few seconds share one list.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clawdeploy_shared::{
    db::instance::Instance,
    ids::InstanceId,
    rpc::{DeviceId, Devices, NoArguments},
    telemetry::chain,
};
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::{
    Rpc,
    devices::DeviceList,
    openclaw::{self, BUDGET, Gateway, PATIENCE, busy},
    refusal::Refused,
};
use crate::{
    gateway_rpc::{Failure, LIMIT, Link},
    runtime::Reference,
};

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
    /// `None`: they may have changed at that time.
    devices: Option<Devices>,
}

/// The devices of an instance. Waits for its turn only if the last list is too old.
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
    let (row, port) = openclaw::row(rpc, instance).await?;
    let _turn = rpc.questions.acquire(instance, openclaw::owner(&row)?, PATIENCE).await.ok_or_else(busy)?;
    // Another call has asked while this one waited for its turn.
    if let Some(devices) = rpc.device_lists.as_of(&container, called_at) {
        return Ok(devices);
    }
    let asked_at = Instant::now();
    let devices = ask(rpc, &row, port, &container, called_at + BUDGET).await?;
    rpc.device_lists.keep(container, List { asked_at, devices: Some(devices.clone()) });
    Ok(devices)
}

/// Asks the gateway, or else OpenClaw's command line. Pairs our device if the gateway does not know it.
async fn ask(
    rpc: &Rpc,
    row: &Instance,
    port: Option<u16>,
    container: &Reference,
    deadline: Instant,
) -> Result<Devices, Refused> {
    let id = &row.id;
    let command_line = async || Gateway::take(rpc, id, container.clone(), deadline).await;
    let link = port.and_then(|port| Link::to(&rpc.env, row, port)).filter(|_| rpc.attempts.may_ask(id, Instant::now()));
    let Some(link) = link else { return command_line().await?.devices().await };
    let mut asked = answer(&link).await;
    if let Err(Failure::NotPaired(request)) = asked
        && rpc.attempts.may_pair(id, Instant::now())
    {
        // Another worker may have done it in the meantime. Then the command fails, and the gateway answers nevertheless.
        let approved = command_line().await?.ask::<IgnoredAny>(&["devices", "approve", &request.to_string()]).await;
        asked = answer(&link).await;
        match &asked {
            Ok(_) => tracing::info!(instance = %id, "Paired with the gateway"),
            Err(error) => {
                let error = chain(error);
                tracing::warn!(instance = %id, ?approved, error, "Could not pair with the gateway");
            }
        }
    }
    let failure = match asked {
        Ok(devices) => return Ok(devices),
        Err(failure) => failure,
    };
    tracing::debug!(instance = %id, error = chain(&failure), "The gateway did not list its devices");
    rpc.attempts.failed(id, Instant::now());
    command_line().await?.devices().await
}

async fn answer(link: &Link) -> Result<Devices, Failure> {
    let list: DeviceList = serde_json::from_value(link.devices(LIMIT).await?)?;
    let own: Vec<DeviceId> = link.retired.iter().chain([&link.device.id]).cloned().collect();
    Ok(list.without(&own).into())
}

impl DeviceLists {
    /// The list of a container, if it is fresh enough for a call at this time.
    fn as_of(&self, container: &Reference, called_at: Instant) -> Option<Devices> {
        let lists = self.lists();
        let list = lists.get(container).filter(|list| list.asked_at + FRESH >= called_at)?;
        list.devices.clone()
    }

    /// Keeps a list, unless a newer one is known or something has changed in the meantime.
    fn keep(&self, container: Reference, list: List) {
        let mut lists = self.lists();
        // A list that is under way may have been asked for before a change.
        let kept_for = |list: &List| if list.devices.is_some() { FRESH } else { FRESH + BUDGET };
        lists.retain(|_, list| list.asked_at.elapsed() <= kept_for(list));
        if lists.get(&container).is_none_or(|kept| kept.asked_at <= list.asked_at) {
            lists.insert(container, list);
        }
    }

    /// Forgets the list of a container whose devices may have changed, also one that is under way.
    pub(super) fn forget(&self, container: &Reference) {
        self.keep(container.clone(), List { asked_at: Instant::now(), devices: None });
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
        let list = || List { asked_at, devices: Some(devices.clone()) };
        lists.keep(container.clone(), list());
        assert_eq!(lists.as_of(&container, asked_at + FRESH), Some(devices.clone()));
        assert_eq!(lists.as_of(&container, asked_at + FRESH + Duration::from_millis(1)), None);
        assert_eq!(lists.as_of(&other, asked_at), None);
        lists.forget(&container);
        assert_eq!(lists.as_of(&container, asked_at), None);
        lists.keep(container.clone(), list());
        assert_eq!(lists.as_of(&container, asked_at), None, "it was asked for before the change");
    }
}
