//! What a gateway is doing, as far as it decides whether its instance may sleep.
//!
//! OpenClaw's documentation of the methods: `gateway/external-apps.md` (suspension), `concepts/presence.md`,
//! `gateway/protocol/rpc-*.md`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Failure, LIMIT, Link, device::Scope};

/// Conversations that are looked at, the latest ones.
const SESSIONS: u32 = 20;

/// What a gateway does. An answer that does not have the expected form is a failure: a gateway that cannot be understood
/// must not be put to sleep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    /// A browser or an app is connected.
    pub(crate) connected: bool,
    /// A chat channel runs. It would miss messages.
    pub(crate) channels: bool,
    /// When something was last said in a conversation.
    pub(crate) last_turn: Option<DateTime<Utc>>,
    /// When a job of the owner's schedule is due next. Those that OpenClaw and its plugins declare for themselves, such
    /// as heartbeats, wait until it is awake.
    pub(crate) next_run: Option<DateTime<Utc>>,
}

/// A gateway that does nothing and begins nothing new, until it is released, or for two minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suspension(String);

impl Suspension {
    pub(crate) fn of(id: &str) -> Self {
        Self(id.to_owned())
    }

    pub(crate) fn id(&self) -> &str {
        &self.0
    }
}

impl Link {
    /// Asks what the gateway does.
    pub(crate) async fn activity(&self) -> Result<Activity, Failure> {
        let asked = self.talk(Scope::Admin, LIMIT, async |session| {
            // Each is reduced to what is needed at once: the gateway decides how much it says.
            let presence: Vec<Presence> = serde_json::from_value(session.call("system-presence", &json!({})).await?)?;
            let channels = serde_json::from_value(session.call("channels.status", &json!({})).await?)?;
            let limit = json!({ "limit": SESSIONS });
            let sessions = serde_json::from_value(session.call("sessions.list", &limit).await?)?;
            let schedule = serde_json::from_value(session.call("cron.list", &json!({})).await?)?;
            Ok(Activity::of(&presence, &channels, &sessions, &schedule))
        });
        asked.await
    }

    /// Asks the gateway to begin nothing new. `None`: it is at work.
    pub(crate) async fn suspend(&self) -> Result<Option<Suspension>, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Prepared {
            status: String,
            suspension_id: Option<String>,
        }
        let asked = self.talk(Scope::Admin, LIMIT, async |session| {
            let id = Uuid::new_v4().to_string();
            let prepared = session.call("gateway.suspend.prepare", &json!({ "requestId": id })).await?;
            let Prepared { status, suspension_id } = serde_json::from_value(prepared)?;
            Ok(suspension_id.filter(|_| status == "ready").map(Suspension))
        });
        asked.await
    }

    /// Releases a gateway from its suspension.
    pub(crate) async fn resume(&self, suspension: Suspension) -> Result<(), Failure> {
        let asked = self.talk(Scope::Admin, LIMIT, async |session| {
            session.call("gateway.suspend.resume", &json!({ "suspensionId": suspension.0 })).await?;
            Ok(())
        });
        asked.await
    }
}

/// Someone or something that is connected.
#[derive(Debug, Deserialize)]
struct Presence {
    mode: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Channels {
    channel_accounts: HashMap<String, Vec<Account>>,
}

#[derive(Debug, Deserialize)]
struct Account {
    running: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Sessions {
    sessions: Vec<Conversation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conversation {
    updated_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Schedule {
    jobs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    enabled: Option<bool>,
    declaration_key: Option<String>,
    next_run_at_ms: Option<i64>,
}

impl Activity {
    fn of(presence: &[Presence], channels: &Channels, sessions: &Sessions, schedule: &Schedule) -> Self {
        // The gateway lists itself, and for a while those who have left.
        let here =
            |one: &Presence| one.mode.as_deref() != Some("gateway") && one.reason.as_deref() != Some("disconnect");
        let own = |run: &Run| run.enabled != Some(false) && run.declaration_key.is_none();
        let time = DateTime::from_timestamp_millis;
        Self {
            connected: presence.iter().any(here),
            channels: channels.channel_accounts.values().flatten().any(|account| account.running == Some(true)),
            last_turn: sessions.sessions.iter().filter_map(|one| one.updated_at.and_then(time)).max(),
            next_run: schedule
                .jobs
                .iter()
                .filter(|run| own(run))
                .filter_map(|run| run.next_run_at_ms.and_then(time))
                .min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn parsed([presence, channels, sessions, schedule]: [Value; 4]) -> Result<Activity, serde_json::Error> {
        let presence: Vec<Presence> = serde_json::from_value(presence)?;
        let (channels, sessions) = (serde_json::from_value(channels)?, serde_json::from_value(sessions)?);
        Ok(Activity::of(&presence, &channels, &sessions, &serde_json::from_value(schedule)?))
    }

    /// Answers of OpenClaw 2026.9.6, shortened.
    fn read(entry: Option<Value>, running: bool) -> Activity {
        let presence: Vec<_> =
            [json!({ "host": "x", "mode": "gateway", "reason": "self" })].into_iter().chain(entry).collect();
        let channels =
            json!({ "channels": {}, "channelAccounts": { "telegram": [{ "accountId": "a", "running": running }] } });
        let sessions = json!({ "count": 2, "sessions": [{ "updatedAt": 1000 }, { "updatedAt": 3000 }, {}] });
        let job = |key: Value, at: i64| json!({ "enabled": true, "declarationKey": key, "nextRunAtMs": at });
        let jobs = [job("heartbeat:main".into(), 2000), job(Value::Null, 9000), job(Value::Null, 7000)];
        let off = json!({ "enabled": false, "nextRunAtMs": 1 });
        let schedule = json!({ "jobs": jobs.into_iter().chain([off]).collect::<Vec<_>>() });
        parsed([presence.into(), channels, sessions, schedule]).unwrap()
    }

    #[test]
    fn what_a_gateway_says_of_itself() {
        let at = DateTime::from_timestamp_millis;
        let idle = Activity { connected: false, channels: false, last_turn: at(3000), next_run: at(7000) };
        assert_eq!(read(None, false), idle);
        assert_eq!(read(None, true), Activity { channels: true, ..idle.clone() });
        let browser = |reason: &str| Some(json!({ "mode": "webchat", "reason": reason, "deviceId": "d" }));
        assert_eq!(read(browser("connect"), false), Activity { connected: true, ..idle.clone() });
        assert_eq!(read(browser("disconnect"), false), idle);
    }

    #[test]
    fn what_cannot_be_understood_is_no_sign_of_idleness() {
        let fine = [json!([]), json!({ "channelAccounts": {} }), json!({ "sessions": [] }), json!({ "jobs": [] })];
        assert_eq!(parsed(fine.clone()).unwrap(), Activity::default());
        for n in 0..4 {
            let mut odd = fine.clone();
            odd[n] = json!({ "other": [] });
            assert!(parsed(odd).is_err(), "{n}");
        }
    }
}
