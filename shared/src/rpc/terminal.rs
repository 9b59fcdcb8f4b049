//! Terminals: the API's calls to a worker, and the messages between a worker and a browser through the API.
//!
//! Binary messages are raw bytes in both directions. Text messages are JSON: [`FromServer`] and [`FromClient`]. Offsets
//! count every byte that the terminal's program has printed since its start, so that a browser can reconnect and say
//! what it has seen.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ids::TerminalId, text_enum};

/// The WebSocket's subprotocol.
pub const PROTOCOL: &str = "clawdeploy-term.v1";
/// Prefix of a ticket that is offered as a subprotocol, which keeps it out of URLs and logs.
pub const TICKET_PREFIX: &str = "ticket.";
/// Header with the arguments of a WebSocket request to a worker, which has no body.
pub const ARGUMENTS_HEADER: &str = "x-clawdeploy-arguments";

/// Longest input message, in bytes. Pasted text is sent in pieces.
pub const INPUT_CAP: usize = 64 << 10;
/// How many unacknowledged bytes a worker sends at most.
pub const WINDOW: u64 = 256 << 10;

text_enum!(
    /// What may run in a terminal instead of a shell.
    TerminalCommand {
        Configure = "openclaw configure",
        Onboard = "openclaw onboard",
        Doctor = "openclaw doctor",
        AddChannel = "openclaw channels add",
    }
);

text_enum!(
    /// Why a terminal ended.
    TerminalEnd {
        /// Its program ended.
        Exited = "exited",
        /// Its owner closed it.
        Closed = "closed",
        /// Nobody was attached for too long.
        Detached = "detached",
        /// Nobody typed for too long.
        Idle = "idle",
        /// It reached the longest lifetime.
        Lifetime = "lifetime",
        /// Its instance is being stopped, changed or deleted.
        Stopping = "stopping",
        /// Its container ended.
        Stopped = "stopped",
        /// Its owner may no longer use it.
        Revoked = "revoked",
        /// The credential that opened it was revoked.
        SignedOut = "signed_out",
        /// Its worker drained.
        Draining = "draining",
        /// Its worker vanished.
        Lost = "lost",
    }
);

/// Close codes of a WebSocket.
pub mod close {
    /// The program ended, or was ended by its owner.
    pub const NORMAL: u16 = 1000;
    /// The API or a worker stops or was lost: attach again.
    pub const AGAIN: u16 = 1012;
    /// A message was too long.
    pub const TOO_BIG: u16 = 1009;
    /// Somebody else attached: a terminal has one screen.
    pub const ELSEWHERE: u16 = 4001;
    /// Nothing was acknowledged, or nobody typed, for too long.
    pub const STALLED: u16 = 4008;
    /// The ticket was used, has expired or is for another terminal, or the person was signed out.
    pub const TICKET: u16 = 4401;
    /// Not allowed, or no longer.
    pub const FORBIDDEN: u16 = 4403;
    /// The terminal no longer exists.
    pub const GONE: u16 = 4404;
    /// The instance's container is stopped.
    pub const STOPPED: u16 = 4409;
}

impl TerminalEnd {
    /// The close code of an attached WebSocket.
    pub fn close_code(self) -> u16 {
        match self {
            Self::Exited | Self::Closed => close::NORMAL,
            Self::Idle | Self::Lifetime => close::STALLED,
            Self::Stopping | Self::Stopped => close::STOPPED,
            Self::Revoked => close::FORBIDDEN,
            Self::SignedOut => close::TICKET,
            Self::Detached | Self::Draining | Self::Lost => close::GONE,
        }
    }

    /// A message for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::Exited => "The program has ended.",
            Self::Closed => "The terminal was closed.",
            Self::Detached => "The terminal was closed because no window was attached for too long.",
            Self::Idle => "The terminal was closed because nothing was typed for too long. Open another.",
            Self::Lifetime => "The terminal reached its longest lifetime and was closed. Open another.",
            Self::Stopping => "The instance is being stopped or changed, so its terminals were closed.",
            Self::Stopped => "The instance's container has stopped, and its terminals with it.",
            Self::Revoked => "You may no longer use this terminal.",
            Self::SignedOut => "You were signed out. Sign in again and open another terminal.",
            Self::Draining => "The server that held the terminal is being restarted. Open another.",
            Self::Lost => "The server that held the terminal was lost. Open another.",
        }
    }
}

/// A window's size, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub cols: u16,
    pub rows: u16,
}

impl Size {
    /// The size limited to what terminals support: 2 to 1000 by 1 to 500.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self { cols: self.cols.clamp(2, 1000), rows: self.rows.clamp(1, 500) }
    }
}

/// Opens a terminal.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenArguments {
    pub terminal_id: TerminalId,
    pub size: Size,
    pub command: Option<TerminalCommand>,
}

/// Attaches a WebSocket to a terminal.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttachArguments {
    pub terminal_id: TerminalId,
    /// Offset up to which the output was seen. None: send everything stored.
    pub from: Option<u64>,
}

/// A message to a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromServer {
    /// The first message: `replay` bytes follow, starting at `offset`. With `reset` they do not continue what was seen,
    /// so the screen must be cleared.
    Hello { offset: u64, reset: bool, replay: u64 },
    /// The program has ended and all its output was sent. No code: it is not known.
    Exit { code: Option<i64> },
    /// A warning about the near future.
    Warning { code: String, message: String },
    /// The reason why the WebSocket will be closed.
    Error { code: String, message: String },
}

/// A message from a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromClient {
    /// All output up to `offset` is on the screen.
    Ack { offset: u64 },
    /// The window has a new size.
    Resize { cols: u16, rows: u16 },
    /// End the terminal.
    Close,
}

/// The JSON of a text message.
pub fn text(message: &FromServer) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

/// A terminal as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminalView {
    pub id: TerminalId,
    /// What runs in it; null: a shell.
    pub command: Option<TerminalCommand>,
    pub started_at: chrono::DateTime<chrono::Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_they_were_agreed_on() {
        let hello = FromServer::Hello { offset: 5, reset: true, replay: 3 };
        assert_eq!(text(&hello), r#"{"type":"hello","offset":5,"reset":true,"replay":3}"#);
        assert_eq!(text(&FromServer::Exit { code: Some(7) }), r#"{"type":"exit","code":7}"#);
        let read = |text: &str| serde_json::from_str::<FromClient>(text).ok();
        assert_eq!(read(r#"{"type":"ack","offset":65536}"#), Some(FromClient::Ack { offset: 65536 }));
        let resize = r#"{"type":"resize","cols":120,"rows":40}"#;
        assert_eq!(read(resize), Some(FromClient::Resize { cols: 120, rows: 40 }));
        assert_eq!(read(r#"{"type":"close"}"#), Some(FromClient::Close));
        for bad in [
            "",
            "{}",
            r#"{"type":"ack"}"#,
            r#"{"type":"ack","offset":-1}"#,
            r#"{"type":"resize","cols":70000,"rows":1}"#,
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_those_of_terminals() {
        let clamped = |cols, rows| Size { cols, rows }.clamped();
        assert_eq!((clamped(0, 0), clamped(9999, 9999)), (Size { cols: 2, rows: 1 }, Size { cols: 1000, rows: 500 }));
    }
}
