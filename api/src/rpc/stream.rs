//! Streamed responses of workers: one JSON value per line.

use std::{collections::VecDeque, time::Duration};

use clawdeploy_shared::{ids::InstanceId, rpc::Verb};
use reqwest::Response;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Answer, WorkerRpc};
use crate::error::{AppError, AppResult, ErrorCode};

/// Time limit for the beginning of a response.
const BEGIN_LIMIT: Duration = Duration::from_secs(20);
/// A worker sends a keep-alive every five seconds. After this time without one it counts as lost.
const ALIVE_LIMIT: Duration = Duration::from_secs(20);
/// Maximum length of a line, in bytes.
const LINE_CAP: usize = 64 << 10;

/// The values of a streamed response.
#[derive(Debug)]
pub struct Values {
    response: Response,
    rest: Vec<u8>,
    ready: VecDeque<Vec<u8>>,
    /// Time of the last received data.
    heard_at: Instant,
}

impl WorkerRpc {
    /// Calls a verb whose response is a stream.
    pub async fn stream<A>(&self, verb: Verb, instance: &InstanceId, arguments: &A) -> AppResult<Values>
    where
        A: Serialize + Sync,
    {
        let arguments = serde_json::to_vec(arguments).map_err(AppError::internal)?;
        let begin = async {
            let workers = self.workers().await?;
            self.any(&workers, verb, instance, &arguments, None).await
        };
        let expired = || AppError::new(ErrorCode::TimedOut, "The worker took too long to answer. Try again.");
        match timeout(BEGIN_LIMIT, begin).await.unwrap_or_else(|_| Err(expired()))? {
            Answer::Stream(response) => {
                Ok(Values { response, rest: Vec::new(), ready: VecDeque::new(), heard_at: Instant::now() })
            }
            Answer::Body(_) => {
                Err(AppError::new(ErrorCode::GatewayFailed, "The worker's response could not be parsed."))
            }
        }
    }
}

impl Values {
    /// The next value. `None`: the stream has ended or the worker was lost. Cancel-safe.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            while let Some(line) = self.ready.pop_front() {
                if line.is_empty() {
                    continue;
                }
                match serde_json::from_slice(&line) {
                    Ok(value) => return Some(value),
                    Err(error) => {
                        tracing::warn!(%error, "Could not parse a worker's message");
                        return None;
                    }
                }
            }
            let piece = timeout_at(self.heard_at + ALIVE_LIMIT, self.response.chunk()).await.ok()?.ok()??;
            self.heard_at = Instant::now();
            for piece in piece.split_inclusive(|&byte| byte == b'\n') {
                self.rest.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    self.rest.pop();
                    self.ready.push_back(std::mem::take(&mut self.rest));
                } else if self.rest.len() > LINE_CAP {
                    return None;
                }
            }
        }
    }
}
