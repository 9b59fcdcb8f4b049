//! The protocol between the API and the workers' private endpoint.
//!
//! A call is `POST /v1/instances/{id}/{verb}` with the arguments as JSON body and a [signature] as bearer
//! token. The response is 200 with the verb's own body, or a [`Refusal`].

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{ids::InvalidId, text_enum};

pub mod signature;
pub mod terminal;
pub mod usage;

text_enum!(
    /// What a worker can be asked to do.
    Verb {
        /// Creates a one-time token for the dashboard. No arguments; returns an [`OwnerBootstrap`].
        DashboardLink = "dashboard-link",
        /// Lists devices. No arguments; returns [`Devices`].
        Devices = "devices",
        /// Approves a device. Takes [`RequestArguments`], returns a [`PairedDevice`].
        ApproveDevice = "approve-device",
        /// Rejects a device. Takes [`RequestArguments`].
        RejectDevice = "reject-device",
        /// Removes an approved device. Takes [`DeviceArguments`].
        RemoveDevice = "remove-device",
        /// Opens a terminal. Takes [`terminal::OpenArguments`].
        OpenTerminal = "open-terminal",
        /// Attaches a WebSocket to a terminal. Takes [`terminal::AttachArguments`] in a header of a GET.
        AttachTerminal = "attach-terminal",
        /// Streams the gateway's log. Takes [`usage::LogArguments`], returns [`usage::LogLine`]s.
        Logs = "logs",
        /// Streams the instance's usage. No arguments; returns a [`usage::Usage`] each second.
        Usage = "stats",
    }
);

impl Verb {
    /// Whether the response is a stream of values.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Logs | Self::Usage)
    }

    /// Whether the call is idempotent, including its response. Only then is another worker asked after one that may
    /// have done it.
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::DashboardLink | Self::Devices | Self::Logs | Self::Usage => true,
            Self::ApproveDevice
            | Self::RejectDevice
            | Self::RemoveDevice
            | Self::OpenTerminal
            | Self::AttachTerminal => false,
        }
    }
}

text_enum!(
    /// Why a worker refused a call.
    RefusalCode {
        /// There is no valid signature of this call.
        Unauthorized = "unauthorized",
        /// The arguments do not fit the verb.
        InvalidArguments = "invalid_arguments",
        /// This worker's engine has no container of the instance.
        NoContainer = "no_container",
        /// The container does not run.
        NotRunning = "not_running",
        /// No device with this id waits for approval.
        UnknownRequest = "unknown_request",
        /// No device with this id was approved.
        UnknownDevice = "unknown_device",
        /// This worker has no terminal with this id.
        UnknownTerminal = "unknown_terminal",
        /// The worker is busy with other calls.
        Busy = "busy",
        /// The command exceeded its time limit and was killed.
        TimedOut = "timed_out",
        /// The command failed, or its output could not be parsed.
        CommandFailed = "command_failed",
        /// The Docker engine failed.
        EngineFailed = "engine_failed",
        /// The worker drains.
        Draining = "draining",
    }
);

/// A worker's response to a refused call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    pub code: RefusalCode,
    /// For the log.
    pub detail: String,
}

/// Address of a worker: `127.0.0.1:4321` or `unix:/run/clawdeploy/worker.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(InvalidId("address of a worker")),
            None => text.parse().map(Self::Tcp).map_err(|_| InvalidId("address of a worker")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// OpenClaw's id of a pairing request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Uuid)]
pub struct PairingRequestId(Uuid);

impl FromStr for PairingRequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // Only in the form that OpenClaw writes. `Uuid` parses others too.
        let id = Uuid::parse_str(text).ok().filter(|id| id.hyphenated().to_string() == text);
        id.map(Self).ok_or(InvalidId("pairing request id"))
    }
}

impl fmt::Display for PairingRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// OpenClaw's id of a device: the hash of its key, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct DeviceId(String);

impl DeviceId {
    /// Of the device with this public key.
    pub fn of_key(public_key: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(public_key)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 64 && text.bytes().all(is_digit)).then(|| Self(text.to_owned())).ok_or(InvalidId("device id"))
    }
}

impl TryFrom<String> for DeviceId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<DeviceId> for String {
    fn from(id: DeviceId) -> Self {
        id.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For verbs without arguments.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoArguments {}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestArguments {
    pub request_id: PairingRequestId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceArguments {
    pub device_id: DeviceId,
}

/// A one-time token that makes its bearer the owner of a gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerBootstrap {
    #[serde(serialize_with = "revealed")]
    pub token: SecretString,
    pub expires_at: DateTime<Utc>,
}

fn revealed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// The devices that a gateway knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Devices {
    /// Pairing requests, newest first.
    pub pending: Vec<PendingDevice>,
    /// Paired devices.
    pub paired: Vec<PairedDevice>,
    /// Devices that are not listed: there are too many, or what the gateway says of them was not understood.
    #[serde(default)]
    pub left_out: usize,
}

/// A pairing request. Everything but the ids, the address and the time is what the device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingDevice {
    pub request_id: PairingRequestId,
    pub device_id: DeviceId,
    #[schema(example = "Linux x86_64")]
    pub platform: Option<String>,
    /// The program.
    #[schema(example = "openclaw-control-ui")]
    pub client_id: Option<String>,
    #[schema(example = "operator")]
    pub role: Option<String>,
    /// The scopes that it requests.
    pub scopes: Vec<String>,
    /// Its address, as the gateway sees it.
    pub remote_ip: Option<String>,
    pub requested_at: Option<DateTime<Utc>>,
}

/// A paired device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairedDevice {
    pub device_id: DeviceId,
    #[schema(example = "Linux x86_64")]
    pub platform: Option<String>,
    /// The program.
    #[schema(example = "openclaw-control-ui")]
    pub client_id: Option<String>,
    #[schema(example = "operator")]
    pub role: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Address of the pairing request.
    pub remote_ip: Option<String>,
    pub approved_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
    /// It is connected at this moment.
    pub connected: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for good in ["127.0.0.1:4321", "[::1]:4321", "unix:/run/clawdeploy/worker.sock"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in ["", "localhost:1", "127.0.0.1", "unix:", "unix:run/x", "http://127.0.0.1:1"] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_ids_are_ids() {
        let request = "022f54f2-0000-4000-8000-00000000000a";
        assert_eq!(request.parse::<PairingRequestId>().unwrap().to_string(), request);
        for bad in ["", "--latest", "022F54F2-0000-4000-8000-00000000000A", "022f54f20000400080000000000000aa"] {
            assert!(bad.parse::<PairingRequestId>().is_err(), "{bad:?}");
        }
        assert!("0a".repeat(32).parse::<DeviceId>().is_ok());
        for bad in [String::new(), "--help".into(), "0A".repeat(32), "0a".repeat(33), format!("-{}", "a".repeat(63))] {
            assert!(bad.parse::<DeviceId>().is_err(), "{bad:?}");
        }
    }
}
