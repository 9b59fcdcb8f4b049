//! Worker RPC, a private endpoint: what the API asks of a running container directly and not as a job.
//!
//! - It listens on loopback, a private address or a socket ([`listen`]), never publicly. The API finds the address in
//!   the worker's row.
//! - Every request carries a [signature](clawdeploy_shared::rpc::signature) for exactly this call. Without one it reveals nothing,
//!   not even whether the path exists.
//! - The container is found by the labels of the deployment and the instance, so nothing else can be reached.
//! - Commands run through [`openclaw`]: fixed arguments, limited concurrency ([`runs`]), bounded time and output. A
//!   command continues when the API disconnects, because it continues in the container anyway.
//! - The gateway itself lists devices ([`device_lists`]) and makes links to its dashboard ([`dashboard_link`]), if it can
//!   be asked.
//! - Each verb is a module. Its arguments and results are in `clawdeploy_shared::rpc`.
//! - While the worker drains or stands by, new calls are refused, and running ones get the grace period.

use std::{io, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{RawPathParams, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
    serve::ListenerExt as _,
};
use clawdeploy_shared::{
    ids::InstanceId,
    rpc::signature::Call,
    rpc::{Address, RefusalCode, Verb},
    telemetry::chain,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{device_lists::DeviceLists, listen::Listener, refusal::Refused, runs::Runs};
use crate::{
    core_tasks::{CoreTask, CoreTasks},
    env::Env,
    gateway_rpc::attempts::Attempts,
};

mod approve_device;
mod container;
mod dashboard_link;
mod device_lists;
mod devices;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod listen;
mod logs;
mod openclaw;
mod refusal;
mod reject_device;
mod remove_device;
mod runs;
mod stream;
mod terminal;
mod usage;

/// Largest body: arguments are a few ids.
const BODY_CAP: usize = 16 * 1024;
/// How long the API may take to send them.
const BODY_LIMIT: Duration = Duration::from_secs(5);
/// Questions to gateways at once, over all instances. Most are answered in tens of milliseconds.
const QUESTIONS: usize = 32;

/// What a verb works with.
#[derive(Debug, Clone)]
struct Rpc {
    env: Env,
    runs: Runs,
    device_lists: DeviceLists,
    /// Questions to gateways that are under way.
    questions: Runs,
    /// When gateways are asked over their WebSockets.
    attempts: Attempts,
    /// Running commands, which the shutdown waits for.
    tasks: TaskTracker,
}

/// The endpoint while it is served.
#[derive(Debug)]
pub struct Endpoint {
    /// The address for the API.
    pub address: Address,
    closed: CancellationToken,
}

impl Endpoint {
    /// Starts to listen and serves until the worker drains.
    pub async fn open(env: Env, core: &mut CoreTasks) -> io::Result<Self> {
        let listener = Listener::bind(&env.config.rpc.listen, &env.worker).await?;
        let address = listener.address()?;
        tracing::info!(%address, "Listening for calls from the API");
        let closed = CancellationToken::new();
        // Also if it panics: nobody waits for what will never end.
        let guard = closed.clone().drop_guard();
        let rpc = Rpc {
            env,
            runs: Runs::default(),
            device_lists: DeviceLists::default(),
            questions: Runs::new(QUESTIONS),
            attempts: Attempts::default(),
            tasks: TaskTracker::new(),
        };
        core.spawn(CoreTask::Rpc, async move {
            serve(listener, rpc).await;
            drop(guard);
        });
        Ok(Self { address, closed })
    }

    /// Waits, after the worker drains, until running calls have ended.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

async fn serve(listener: Listener, rpc: Rpc) {
    let (draining, tasks) = (rpc.env.draining.clone(), rpc.tasks.clone());
    let router = Router::new()
        .route("/v1/instances/{instance}/{verb}", post(call).get(terminal::attach))
        .fallback(async || Refused::unauthorized())
        .with_state(rpc);
    let served = match listener {
        Listener::Tcp(listener) => {
            // An echo must not wait for the acknowledgement of the previous one.
            let listener = listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            axum::serve(listener, router).with_graceful_shutdown(draining.cancelled_owned()).await
        }
        Listener::Unix(listener, path) => {
            let served = axum::serve(listener, router).with_graceful_shutdown(draining.cancelled_owned()).await;
            let _ = tokio::fs::remove_file(path).await;
            served
        }
    };
    if let Err(error) = served {
        tracing::error!(error = chain(&error), "The private endpoint stopped");
    }
    tasks.close();
    tasks.wait().await;
}

async fn call(State(rpc): State<Rpc>, params: RawPathParams, headers: HeaderMap, body: Body) -> Response {
    let Ok(Ok(arguments)) = timeout(BODY_LIMIT, to_bytes(body, BODY_CAP)).await else {
        return Refused::unauthorized().into_response();
    };
    let Some((instance, verb)) = admitted(&rpc, &params, &headers, &arguments) else {
        return Refused::unauthorized().into_response();
    };
    if let Some(refused) = turned_away(&rpc.env) {
        return refused.into_response();
    }
    // A task of its own: a caller that disconnects drops this handler, and the command in the container would lose its
    // slot.
    let tasks = rpc.tasks.clone();
    let work = async move { carry_out(&rpc, &instance, verb, &arguments).await };
    match tasks.spawn(work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(refused)) => {
            tracing::debug!(%verb, code = %refused.code, detail = %refused.detail, "Refused a call");
            refused.into_response()
        }
        Err(error) => {
            tracing::error!(%verb, error = chain(&error), "A call failed");
            Refused::new(RefusalCode::CommandFailed, "the worker failed").into_response()
        }
    }
}

/// Why new calls are refused now. Standing by looks like draining: the API asks another worker.
fn turned_away(env: &Env) -> Option<Refused> {
    if env.draining.is_cancelled() {
        Some(Refused::new(RefusalCode::Draining, "the worker is draining"))
    } else if !env.identity.belongs() {
        Some(Refused::new(RefusalCode::Draining, "the worker stands by"))
    } else {
        None
    }
}

/// The call, if its signature is valid for it.
fn admitted(rpc: &Rpc, params: &RawPathParams, headers: &HeaderMap, arguments: &[u8]) -> Option<(InstanceId, Verb)> {
    let param = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let (instance, verb) = (param("instance")?.parse().ok()?, param("verb")?.parse().ok()?);
    let signature = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let call = Call { worker: &rpc.env.worker, instance: &instance, verb, arguments };
    rpc.env.sealer.call_key().verify(signature, call).then_some((instance, verb))
}

async fn carry_out(rpc: &Rpc, instance: &InstanceId, verb: Verb, arguments: &Bytes) -> Result<Response, Refused> {
    // Anything that is not an OpenClaw command needs no slot.
    match verb {
        Verb::OpenTerminal => return answer(terminal::open(rpc, instance, read(arguments)?).await?),
        Verb::Logs => return logs::answer(rpc, instance, read(arguments)?).await,
        Verb::Usage => return usage::answer(rpc, instance).await,
        _ => {}
    }
    let container = container::running(&rpc.env.runtime, instance).await?;
    // The gateway itself is asked first.
    match verb {
        Verb::Devices => return answer(device_lists::list(rpc, instance, container, read(arguments)?).await?),
        Verb::DashboardLink => return answer(dashboard_link::run(rpc, instance, container, read(arguments)?).await?),
        _ => {}
    }
    let deadline = Instant::now() + openclaw::BUDGET;
    let gateway = openclaw::Gateway::take(rpc, instance, container.clone(), deadline).await?;
    let done = match verb {
        Verb::ApproveDevice => answer(approve_device::run(&gateway, read(arguments)?).await?),
        Verb::RejectDevice => answer(reject_device::run(&gateway, read(arguments)?).await?),
        Verb::RemoveDevice => answer(remove_device::run(&gateway, read(arguments)?).await?),
        // Done above, or not called this way.
        Verb::Devices | Verb::DashboardLink | Verb::OpenTerminal | Verb::AttachTerminal | Verb::Logs | Verb::Usage => {
            Err(Refused::unauthorized())
        }
    };
    // Also after a failure: the command may have done something.
    rpc.device_lists.forget(&container);
    done
}

fn read<T: DeserializeOwned>(arguments: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(arguments).map_err(|error| Refused::new(RefusalCode::InvalidArguments, error.to_string()))
}

fn answer(body: impl Serialize) -> Result<Response, Refused> {
    let text =
        serde_json::to_vec(&body).map_err(|error| Refused::new(RefusalCode::CommandFailed, error.to_string()))?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], text).into_response())
}
