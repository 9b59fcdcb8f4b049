//! Query of a gateway's log.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::{AppError, AppResult, ErrorCode};

/// Default number of lines.
const DEFAULT_TAIL: u32 = 500;

/// Maximum number of lines.
const MAX_TAIL: u32 = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// Number of lines from the end, at most 10000
    #[param(default = 500, maximum = 10000)]
    pub tail: Option<u32>,
    /// Only lines after this time
    pub since: Option<DateTime<Utc>>,
    /// Continue with new lines; default: true for an event stream, false for a file
    pub follow: Option<bool>,
}

impl LogQuery {
    /// Number of lines from the end.
    pub fn tail(&self) -> AppResult<u32> {
        let tail = self.tail.unwrap_or(DEFAULT_TAIL);
        if tail <= MAX_TAIL {
            return Ok(tail);
        }
        let detail = format!("tail: must be at most {MAX_TAIL}.");
        Err(AppError::new(ErrorCode::InvalidQuery, detail).with_field("tail", "out_of_range", "is too large"))
    }
}
