//! A gateway's log and an instance's usage as a worker streams them: one JSON value per line. An empty line is a
//! keep-alive.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text_enum;

text_enum!(
    /// Where a line was printed.
    LogStream {
        Stdout = "stdout",
        Stderr = "stderr",
    }
);

/// Which lines of a log to send.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogArguments {
    /// How many of the last lines. None: all that are stored.
    pub tail: Option<u32>,
    /// Only lines printed after this time.
    pub since: Option<DateTime<Utc>>,
    /// Also send new lines as they are printed.
    pub follow: bool,
}

/// A line that a gateway printed, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    pub at: DateTime<Utc>,
    pub stream: LogStream,
    /// Without control characters, and with secrets masked.
    pub text: String,
}

/// What an instance uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub at: DateTime<Utc>,
    /// Of one core: 150 is one and a half.
    #[schema(example = 12.5)]
    pub cpu_percent: f64,
    /// Without what the kernel can take back.
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    /// Since the container was started.
    pub network_rx_bytes: u64,
    /// Since the container was started.
    pub network_tx_bytes: u64,
    /// Of the instance's files, measured once a minute; null: it could not be measured.
    pub disk_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
}
