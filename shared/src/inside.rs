//! What the API and the workers' private endpoint say to each other.
//!
//! A call is `POST /v1/instances/{id}/{verb}` with the arguments as its JSON body and a [ticket](crate::ticket) as its bearer
//! token. The answer is 200 with the verb's own body, or a [`Refusal`].

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{ids::InvalidId, text_enum};

pub mod terminal;
pub mod usage;

text_enum!(
    /// What a worker can be asked to do inside of a container.
    Verb {
        /// Makes a token that opens the dashboard once: no arguments, answers an [`OwnerBootstrap`].
        DashboardLink = "dashboard-link",
        /// Lists devices: no arguments, answers [`Devices`].
        Devices = "devices",
        /// Lets a device in: [`RequestArguments`], answers [`PairedDevice`].
        ApproveDevice = "approve-device",
        /// Turns a device away: [`RequestArguments`].
        RejectDevice = "reject-device",
        /// Shuts a device out that was let in: [`DeviceArguments`].
        RemoveDevice = "remove-device",
        /// Opens a terminal: [`terminal::OpenArguments`].
        OpenTerminal = "open-terminal",
        /// Attaches a WebSocket to a terminal: [`terminal::AttachArguments`], in a header of a GET.
        AttachTerminal = "attach-terminal",
        /// Says what the gateway prints: [`usage::LogArguments`], answers [`usage::LogLine`]s.
        Logs = "logs",
        /// Says what the instance uses: no arguments, answers a [`usage::Usage`] each second.
        Stats = "stats",
    }
);

impl Verb {
    /// Whether its answer goes on, value by value.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Logs | Self::Stats)
    }

    /// Whether doing it twice comes to the same as doing it once, answers included: only then is another worker asked after
    /// one that may have done it.
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::DashboardLink | Self::Devices | Self::Logs | Self::Stats => true,
            Self::ApproveDevice
            | Self::RejectDevice
            | Self::RemoveDevice
            | Self::OpenTerminal
            | Self::AttachTerminal => false,
        }
    }
}

text_enum!(
    /// Why a worker did not do what it was asked for.
    RefusalCode {
        /// No ticket for this.
        Unauthorized = "unauthorized",
        /// The arguments are not those of the verb.
        InvalidArguments = "invalid_arguments",
        /// This worker's engine has no container of the instance.
        NoContainer = "no_container",
        /// There is one, and it does not run.
        NotRunning = "not_running",
        /// No device waits under this id.
        UnknownRequest = "unknown_request",
        /// No device of this id was let in.
        UnknownDevice = "unknown_device",
        /// This worker holds no terminal of this id.
        UnknownTerminal = "unknown_terminal",
        /// Others are being served.
        Busy = "busy",
        /// The command did not end in time, and was ended.
        TimedOut = "timed_out",
        /// The command failed, or what it said could not be read.
        CommandFailed = "command_failed",
        /// The Docker engine did not do its part.
        EngineFailed = "engine_failed",
        /// The worker is about to end.
        Draining = "draining",
    }
);

/// A worker's answer that is not what was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    pub code: RefusalCode,
    /// For the log.
    pub detail: String,
}

/// Where a worker can be called: `127.0.0.1:4321` or `unix:/run/clawdeploy/worker.sock`.
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

/// Id that OpenClaw gave to a request for pairing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Uuid)]
pub struct PairingRequestId(Uuid);

impl FromStr for PairingRequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // In the one form that OpenClaw writes; `Uuid` reads others too.
        let id = Uuid::parse_str(text).ok().filter(|id| id.hyphenated().to_string() == text);
        id.map(Self).ok_or(InvalidId("pairing request id"))
    }
}

impl fmt::Display for PairingRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Id that OpenClaw gives a device: the hash of its key, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct DeviceId(String);

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

/// What makes whoever has it the owner of a gateway, once.
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

/// The devices that know a gateway.
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
