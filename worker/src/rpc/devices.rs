//! The devices that a gateway knows: `openclaw devices list`, and `device.pair.list` of its WebSocket.

use chrono::{DateTime, Utc};
use clawdeploy_shared::rpc::{DeviceId, Devices, PairedDevice, PendingDevice};
use serde::Deserialize;
use serde_json::Value;

use crate::runtime::printed::clean;

/// Most devices of each kind that are passed on. Anybody can ask a public gateway for a pairing, so any number may
/// wait.
const LIST_CAP: usize = 200;
/// Longest text from a device, in characters.
const TEXT_CAP: usize = 200;
/// Most scopes of one device.
const SCOPES_CAP: usize = 50;

/// The list as OpenClaw gives it: both lists, even if empty, or it is something else. A malformed device is skipped and
/// counted, so that it does not hide the rest.
#[derive(Debug, Deserialize)]
pub(super) struct DeviceList {
    pending: Vec<Value>,
    paired: Vec<Value>,
}

impl DeviceList {
    /// Without our own devices: the owner did not ask for them, and must not remove them by mistake. A device proves its
    /// id with its key, so no other can hide behind one of ours.
    pub(super) fn without(mut self, own: &[DeviceId]) -> Self {
        let is_other = |device: &Value| {
            let id = device["deviceId"].as_str();
            own.iter().all(|own| Some(own.as_str()) != id)
        };
        self.pending.retain(is_other);
        self.paired.retain(is_other);
        self
    }
}

impl From<DeviceList> for Devices {
    fn from(list: DeviceList) -> Self {
        let mut pending: Vec<_> = list.pending.iter().filter_map(pending).collect();
        pending.sort_by_key(|device| std::cmp::Reverse(device.requested_at));
        pending.truncate(LIST_CAP);
        let paired: Vec<_> = list.paired.iter().filter_map(paired).take(LIST_CAP).collect();
        let left_out = list.pending.len() + list.paired.len() - pending.len() - paired.len();
        Self { pending, paired, left_out }
    }
}

/// `None` without the ids needed to refer to it.
fn pending(device: &Value) -> Option<PendingDevice> {
    Some(PendingDevice {
        request_id: device["requestId"].as_str()?.parse().ok()?,
        device_id: device["deviceId"].as_str()?.parse().ok()?,
        platform: text(&device["platform"]),
        client_id: text(&device["clientId"]),
        role: text(&device["role"]),
        scopes: scopes(&device["scopes"]),
        remote_ip: text(&device["remoteIp"]),
        requested_at: time(&device["ts"]),
    })
}

/// `None` without the id needed to refer to it.
pub(super) fn paired(device: &Value) -> Option<PairedDevice> {
    Some(PairedDevice {
        device_id: device["deviceId"].as_str()?.parse().ok()?,
        platform: text(&device["platform"]),
        client_id: text(&device["clientId"]),
        role: text(&device["role"]),
        scopes: scopes(&device["scopes"]),
        remote_ip: text(&device["remoteIp"]),
        approved_at: time(&device["approvedAtMs"]),
        last_seen_at: time(&device["lastSeenAtMs"]),
        connected: device["connected"].as_bool().unwrap_or_default(),
    })
}

fn text(value: &Value) -> Option<String> {
    let text: String = clean(value.as_str()?).chars().take(TEXT_CAP).collect();
    (!text.is_empty()).then_some(text)
}

fn scopes(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(text).take(SCOPES_CAP).collect()
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(value.as_i64()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Devices {
        serde_json::from_str::<DeviceList>(text).unwrap().into()
    }

    /// The answer of OpenClaw 2026.9.6 while one browser waits and another is connected.
    #[test]
    fn what_openclaw_says_is_understood() {
        insta::assert_json_snapshot!(read(include_str!("fixtures/devices.json")));
    }

    #[test]
    fn what_a_hostile_container_says_is_bounded() {
        let (request, device) = ("022f54f2-0000-4000-8000-000000000001", "0a".repeat(32));
        let hostile = json!({
            "pending": [
                { "requestId": "--latest", "deviceId": device },
                { "requestId": request, "deviceId": "../x" },
                { "requestId": request, "deviceId": device, "platform": format!("\u{1b}[31m{}", "x".repeat(1000)),
                  "clientId": 7, "scopes": vec!["s"; 1000], "ts": "soon", "remoteIp": "\u{202e}" },
                "no object",
            ],
            "paired": vec![json!({ "deviceId": device, "connected": "yes", "approvedAtMs": i64::MAX }); 1000],
            "more": {},
        });
        let got = read(&hostile.to_string());
        assert_eq!((got.pending.len(), got.paired.len(), got.left_out), (1, LIST_CAP, 3 + 1000 - LIST_CAP));
        let only = &got.pending[0];
        assert_eq!(only.platform.as_deref(), Some("x".repeat(TEXT_CAP).as_str()));
        assert_eq!(
            (&only.client_id, only.scopes.len(), only.requested_at, &only.remote_ip),
            (&None, SCOPES_CAP, None, &None)
        );
        assert!(!got.paired[0].connected && got.paired[0].approved_at.is_none());
    }

    #[test]
    fn our_own_devices_are_not_shown() {
        let id = |digit: &str| digit.repeat(64);
        let device =
            |digit: &str| json!({ "requestId": "022f54f2-0000-4000-8000-000000000001", "deviceId": id(digit) });
        let both = [device("a"), device("b")];
        let list = json!({ "pending": both, "paired": both });
        let list = serde_json::from_value::<DeviceList>(list).unwrap().without(&[id("a").parse().unwrap()]);
        let shown = Devices::from(list);
        assert_eq!((shown.pending.len(), shown.paired.len(), shown.left_out), (1, 1, 0));
        assert_eq!((shown.pending[0].device_id.as_str(), shown.paired[0].device_id.as_str()), (&*id("b"), &*id("b")));
    }

    #[test]
    fn no_devices_are_said_and_not_guessed() {
        let none = Devices { pending: Vec::new(), paired: Vec::new(), left_out: 0 };
        assert_eq!(read(r#"{ "pending": [], "paired": [] }"#), none);
        for other in ["{}", r#"{ "error": "gateway not reachable" }"#, r#"{ "pending": [] }"#] {
            assert!(serde_json::from_str::<DeviceList>(other).is_err(), "{other}");
        }
    }
}
