//! Calls the workers' private endpoint, for requests that need immediate access to a container.
//!
//! Any worker whose engine has the container can serve a call. Workers that are dead, are draining or belong to another
//! engine are skipped; if none is left, the error is `no_worker`. If the connection to a worker is lost after the call
//! was sent, the worker may have executed it, so only repeatable verbs are sent to another worker.

use std::{path::Path, time::Duration};

use clawdeploy_shared::{
    db::{
        Db, terminal,
        worker::{self, Callable},
    },
    http::{self, ClientError},
    ids::{InstanceId, TerminalId},
    rpc::signature::{Call, CallKey},
    rpc::{Address, Refusal, RefusalCode, Verb, terminal::OpenArguments},
};
use reqwest::{Client, ClientBuilder, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::error::{AppError, AppResult, ErrorCode};

pub mod socket;
pub mod stream;

/// Time limit of a call, over all workers. Slightly longer than a worker's own limit.
pub const LIMIT: Duration = Duration::from_secs(55);
/// Time limit for opening a terminal, over all workers.
const OPEN_LIMIT: Duration = Duration::from_secs(25);
/// Time limit for connecting to one worker.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Maximum number of workers that are tried, without those whose engine does not have the container.
const TRIES: usize = 8;
/// Maximum size of a response body, in bytes.
const ANSWER_CAP: usize = 2 << 20;
/// How long a client should wait before it retries.
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// Client for the workers' private endpoint.
#[derive(Debug, Clone)]
pub struct WorkerRpc {
    db: Db,
    call_key: CallKey,
    http: Client,
    /// For streamed responses, which have no time limit.
    streams: Client,
}

/// A worker's response.
#[derive(Debug)]
enum Answer {
    Body(Vec<u8>),
    /// Not read yet, because it is a stream.
    Stream(Response),
}

/// Why a worker did not serve a call.
#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error("the worker could not be reached")]
    Unreached(#[source] ClientError),
    /// The worker may have executed the call.
    #[error("the connection to the worker was lost before it responded")]
    Lost(#[source] reqwest::Error),
    #[error("the worker's response could not be parsed")]
    Answer(#[source] Option<serde_json::Error>),
    #[error("it refused ({}): {}", .0.code, .0.detail)]
    Refused(Refusal),
    #[error("{0} is not an address")]
    Address(String),
}

impl WorkerRpc {
    pub fn new(db: Db, call_key: CallKey) -> Result<Self, ClientError> {
        Ok(Self { db, call_key, http: client(false)?.build()?, streams: client(true)?.build()? })
    }

    /// Calls `verb` on an instance that is running.
    pub async fn call<A, T>(&self, verb: Verb, instance: &InstanceId, arguments: &A) -> AppResult<T>
    where
        A: Serialize + Sync,
        T: DeserializeOwned,
    {
        let arguments = serde_json::to_vec(arguments).map_err(AppError::internal)?;
        let expired = || {
            let detail = "The instance took too long to answer. It may be busy: try again in a while.";
            AppError::new(ErrorCode::TimedOut, detail)
        };
        let calls = async {
            let workers = in_own_order(instance, worker::callable(&mut *self.db.conn().await?).await?);
            self.any(&workers, verb, instance, &arguments, None).await
        };
        read(timeout(LIMIT, calls).await.unwrap_or_else(|_| Err(expired()))?)
    }

    /// The workers that could hold a terminal, at least one.
    pub async fn workers(&self) -> AppResult<Vec<Callable>> {
        let workers = worker::callable(&mut *self.db.conn().await?).await?;
        if workers.is_empty() { Err(no_worker(None)) } else { Ok(workers) }
    }

    /// Opens a terminal on the first of these workers that can. The terminal's row always names the worker that is
    /// tried.
    pub async fn open_terminal(
        &self,
        workers: &[Callable],
        instance: &InstanceId,
        arguments: &OpenArguments,
    ) -> AppResult<()> {
        let body = serde_json::to_vec(arguments).map_err(AppError::internal)?;
        let opens = self.any(workers, Verb::OpenTerminal, instance, &body, Some(arguments.terminal_id));
        let expired = || AppError::new(ErrorCode::TimedOut, "The instance took too long to start a shell. Try again.");
        read(timeout(OPEN_LIMIT, opens).await.unwrap_or_else(|_| Err(expired()))?)
    }

    async fn any(
        &self,
        workers: &[Callable],
        verb: Verb,
        instance: &InstanceId,
        arguments: &[u8],
        terminal: Option<TerminalId>,
    ) -> AppResult<Answer> {
        let mut last = None;
        let mut gone = !workers.is_empty();
        let mut tries = 0;
        for worker in workers {
            if tries == TRIES {
                break;
            }
            if let Some(terminal) = terminal {
                terminal::set_worker(&mut *self.db.conn().await?, terminal, &worker.id).await?;
            }
            let missed = match self.one(worker, verb, instance, arguments).await {
                Ok(answer) => return Ok(answer),
                Err(missed) => missed,
            };
            if !missed.is_passed_over(verb) {
                return Err(missed.into_error());
            }
            tracing::warn!(worker = worker.id, %verb, error = clawdeploy_shared::telemetry::chain(&missed), "Skipped a worker");
            let has_none = matches!(&missed, Missed::Refused(refusal) if refusal.code == RefusalCode::NoContainer);
            gone &= has_none;
            tries += usize::from(!has_none);
            last = Some(missed);
        }
        if gone && let Some(missed) = last {
            return Err(missed.into_error());
        }
        Err(match last {
            Some(missed @ Missed::Refused(Refusal { code: RefusalCode::Busy, .. })) => missed.into_error(),
            last => no_worker(last),
        })
    }

    async fn one(
        &self,
        worker: &Callable,
        verb: Verb,
        instance: &InstanceId,
        arguments: &[u8],
    ) -> Result<Answer, Missed> {
        let signature = self.call_key.sign(Call { worker: &worker.id, instance, verb, arguments });
        let path = format!("/v1/instances/{instance}/{verb}");
        let request = match worker.address.parse() {
            Ok(Address::Tcp(address)) => {
                let http = if verb.is_stream() { &self.streams } else { &self.http };
                http.post(format!("http://{address}{path}"))
            }
            Ok(Address::Unix(socket)) => {
                on_socket(&socket, verb.is_stream()).map_err(Missed::Unreached)?.post(format!("http://worker{path}"))
            }
            Err(_) => return Err(Missed::Address(worker.address.clone())),
        };
        let request =
            request.bearer_auth(signature).header(header::CONTENT_TYPE, "application/json").body(arguments.to_vec());
        let sent = request.send().await;
        let response = sent.map_err(|e| if e.is_connect() { Missed::Unreached(e.into()) } else { Missed::Lost(e) })?;
        let status = response.status();
        if status == StatusCode::OK && verb.is_stream() {
            return Ok(Answer::Stream(response));
        }
        let body = bounded(response).await?;
        if status == StatusCode::OK {
            return Ok(Answer::Body(body));
        }
        Err(serde_json::from_slice(&body).map_or_else(|error| Missed::Answer(Some(error)), Missed::Refused))
    }
}

/// The workers in an order of the instance's own (rendezvous hashing). The commands in a container go to the same worker
/// as long as it lives, because each worker limits them and remembers the devices by itself. The instances are spread
/// evenly, and a worker that comes or goes changes the order of no others.
fn in_own_order(instance: &InstanceId, mut workers: Vec<Callable>) -> Vec<Callable> {
    workers.sort_by_cached_key(|worker| Sha256::digest(format!("{instance} {}", worker.id)));
    workers
}

fn no_worker(last: Option<Missed>) -> AppError {
    let detail = match last {
        None => "No worker is available for the instance. Try again shortly, or tell an administrator.",
        Some(_) => "No worker for the instance could be reached. Try again shortly, or tell an administrator.",
    };
    let error = AppError::new(ErrorCode::NoWorker, detail).with_retry_after(RETRY_AFTER);
    match last {
        Some(missed) => error.with_source(missed),
        None => error,
    }
}

fn client(streams: bool) -> Result<ClientBuilder, ClientError> {
    let client = http::local()?.connect_timeout(CONNECT_LIMIT);
    Ok(if streams { client } else { client.timeout(LIMIT) })
}

fn on_socket(socket: &Path, streams: bool) -> Result<Client, ClientError> {
    Ok(client(streams)?.unix_socket(socket).build()?)
}

/// Parses a response body.
fn read<T: DeserializeOwned>(answer: Answer) -> AppResult<T> {
    let Answer::Body(body) = answer else { return Err(Missed::Answer(None).into_error()) };
    serde_json::from_slice(&body).map_err(|error| Missed::Answer(Some(error)).into_error())
}

async fn bounded(response: Response) -> Result<Vec<u8>, Missed> {
    http::body(response, ANSWER_CAP).await.map_err(Missed::Lost)?.ok_or(Missed::Answer(None))
}

impl Missed {
    /// Whether to try another worker.
    fn is_passed_over(&self, verb: Verb) -> bool {
        match self {
            Self::Unreached(_) | Self::Address(_) => true,
            Self::Lost(_) => verb.is_repeatable(),
            Self::Answer(_) => false,
            // Another worker may have capacity for a terminal. Other commands are limited to one for each container,
            // and another worker must not run a second one.
            Self::Refused(Refusal { code: RefusalCode::Busy, .. }) => verb == Verb::OpenTerminal,
            Self::Refused(refusal) => matches!(
                refusal.code,
                RefusalCode::Unauthorized
                    | RefusalCode::NoContainer
                    | RefusalCode::EngineFailed
                    | RefusalCode::Draining
            ),
        }
    }

    /// The error for the client.
    fn into_error(self) -> AppError {
        use RefusalCode as Code;
        let (code, detail) = match &self {
            Self::Lost(_) => (
                ErrorCode::Unavailable,
                "The connection to the worker was lost; the request may have been executed. Check before you try again.",
            ),
            Self::Refused(refusal) => match refusal.code {
                Code::NoContainer | Code::NotRunning => {
                    (ErrorCode::NotRunning, "The instance is not running at the moment. Try again when it is.")
                }
                Code::UnknownRequest => (
                    ErrorCode::PairingRequestNotFound,
                    "There is no pairing request with this id: it was approved or rejected, or has expired. List the devices again.",
                ),
                Code::UnknownDevice => (ErrorCode::DeviceNotFound, "There is no such device. List the devices again."),
                Code::Busy => (ErrorCode::GatewayBusy, "The instance is busy with other requests. Try again shortly."),
                Code::TimedOut => {
                    (ErrorCode::TimedOut, "The instance took too long to answer. It may be busy: try again in a while.")
                }
                _ => (ErrorCode::GatewayFailed, "OpenClaw failed. Try again; if it fails again, restart the instance."),
            },
            _ => (ErrorCode::GatewayFailed, "OpenClaw's response could not be parsed."),
        };
        let error = AppError::new(code, detail);
        let may_retry = matches!(code, ErrorCode::Unavailable | ErrorCode::GatewayBusy);
        let error = if may_retry { error.with_retry_after(RETRY_AFTER) } else { error };
        error.with_source(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_commands_in_a_container_go_to_one_worker_and_the_instances_to_all() {
        let worker = |n: usize| Callable { id: format!("host-{n}"), address: String::new() };
        let mut first = HashMap::new();
        for _ in 0..1000 {
            let instance = InstanceId::random();
            let order = in_own_order(&instance, (0..4).map(worker).collect());
            assert_eq!(in_own_order(&instance, (0..4).rev().map(worker).collect()), order);
            // Without one of them, the others keep their order.
            let rest: Vec<_> = order.iter().filter(|left| **left != worker(0)).cloned().collect();
            assert_eq!(in_own_order(&instance, (1..4).map(worker).collect()), rest);
            *first.entry(order[0].id.clone()).or_insert(0) += 1;
        }
        assert!(first.len() == 4 && first.values().all(|count| *count > 150), "{first:?}");
    }
}
