//! An engine for measuring what it is asked: an API on a Unix socket that lists containers and counts the calls. For the
//! benchmark `drift` and the tests beside the sweep.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::{net::UnixListener, task::JoinHandle};

/// The deployment of its containers.
pub(crate) const DEPLOYMENT: &str = "bench";

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct FakeEngine {
    /// For the setting of the Docker host.
    pub(crate) host: String,
    calls: Calls,
    serving: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

type Calls = Arc<Mutex<BTreeMap<&'static str, usize>>>;

#[derive(Debug, Clone)]
struct Answers {
    list: Bytes,
    calls: Calls,
}

impl FakeEngine {
    pub(crate) fn start(containers: &[Value]) -> std::io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let socket: &Path = &dir.path().join("engine.sock");
        let (listener, calls) = (UnixListener::bind(socket)?, Calls::default());
        let list = Bytes::from(serde_json::to_vec(containers)?);
        let router = Router::new().fallback(answer).with_state(Answers { list, calls: Arc::clone(&calls) });
        let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { host: format!("unix://{}", socket.display()), calls, serving, _dir: dir })
    }

    /// How often each call was made, without those that begin a connection.
    pub(crate) fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(answers): State<Answers>, request: Request) -> Response {
    let path = request.uri().path();
    let json = |value: Value| ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response();
    if path.ends_with("/version") {
        return json(json!({ "Version": "29.0.0", "ApiVersion": "1.51" }));
    }
    if path.ends_with("/info") {
        return json(json!({ "ID": "an engine", "NCPU": 2, "ServerVersion": "29.0.0" }));
    }
    if path.ends_with("/_ping") {
        return "OK".into_response();
    }
    let (call, response) = if path.ends_with("/containers/json") {
        ("list", ([(CONTENT_TYPE, "application/json")], answers.list).into_response())
    } else if path.contains("/containers/") && path.ends_with("/json") {
        ("inspect", json(json!({ "State": { "Status": "running", "Running": true } })))
    } else {
        ("other", StatusCode::NOT_FOUND.into_response())
    };
    *answers.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(call).or_default() += 1;
    response
}

/// A running container as the engine lists it, with all that the engine says and a sweep does not need.
pub(crate) fn listed(instance: &str, container: &str, port: Option<u16>) -> Value {
    let ports = port.map(|port| json!({ "IP": "127.0.0.1", "PrivatePort": 18789, "PublicPort": port, "Type": "tcp" }));
    let mount = |place: &str, at: &str| {
        json!({
            "Type": "bind", "Source": format!("/var/lib/clawdeploy/instances/{instance}/{place}"), "Destination": at,
            "Mode": "", "RW": true, "Propagation": "rprivate"
        })
    };
    json!({
        "Id": container,
        "Names": [format!("/claw-{instance}")],
        "Image": "sha256:2f6b1f0c8a3e4d5b9c7a6e8d1f2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b",
        "ImageID": "sha256:2f6b1f0c8a3e4d5b9c7a6e8d1f2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b",
        "Command": "choom -n 0 -- node dist/index.js gateway --bind lan --port 18789 --allow-unconfigured",
        "Created": 1_800_000_000,
        "Ports": ports.into_iter().collect::<Vec<_>>(),
        "Labels": {
            "clawdeploy.deployment": DEPLOYMENT,
            "clawdeploy.instance": instance,
            "clawdeploy.job": "019300aa-0000-7000-8000-000000000000",
            "clawdeploy.attempt": "1",
            "clawdeploy.spec": "9c7a6e8d1f2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b2f6b1f0c8a3e4d5b",
            "clawdeploy.openclaw.version": "2026.9.6",
            "org.opencontainers.image.source": "https://github.com/openclaw/openclaw"
        },
        "State": "running",
        "Status": "Up 3 hours",
        "HostConfig": { "NetworkMode": format!("claw-{instance}") },
        "NetworkSettings": { "Networks": { format!("claw-{instance}"): {
            "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "02:42:ac:12:00:02", "DriverOpts": null,
            "NetworkID": container, "EndpointID": container, "Gateway": "10.88.0.1", "IPAddress": "10.88.0.2",
            "IPPrefixLen": 29, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null
        } } },
        "Mounts": [mount("config", "/home/node/.openclaw"), mount("workspace", "/home/node/workspace")]
    })
}
