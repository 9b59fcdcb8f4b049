//! What an instance says and uses, as a worker streams it: one JSON value a line. An empty line is a sign of life.

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

/// Which lines of a log.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogArguments {
    /// So many of the last ones; none: all that are kept.
    pub tail: Option<u32>,
    /// Only what was printed after.
    pub since: Option<DateTime<Utc>>,
    /// And what will be.
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
