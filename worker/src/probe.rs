//! Asks a gateway whether it is ready.

use std::{net::SocketAddr, time::Duration};

use clawdeploy_shared::config::Routing;

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit for a gateway that was ready before: its own commands keep it busy for a dozen seconds on a busy machine.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Claimed client address of our own requests. Behind a proxy OpenClaw answers 403 to requests without a client address
/// or with a local one. This one is reserved for documentation (RFC 5737).
pub(crate) const PROBE_CLIENT: &str = "203.0.113.7";

/// What a gateway said, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Ready,
    /// It said no, or the connection was refused or broken: it has exited, restarts or boots.
    NotReady,
    /// It accepted the connection and has not answered. It hangs or is busy.
    Slow,
}

/// Asks gateways at their addresses.
#[derive(Debug, Clone)]
pub struct Probe {
    http: reqwest::Client,
    routing: Routing,
}

impl Probe {
    pub fn new(http: reqwest::Client, routing: Routing) -> Self {
        Self { http, routing }
    }

    /// Asks whether the gateway at this address has started, for two seconds. Asks `/startupz`: `/healthz` answers
    /// seconds too early, and `/readyz` also fails for a channel whose service is down.
    pub async fn ask(&self, gateway: SocketAddr) -> Answer {
        self.ask_for(gateway, TIMEOUT).await
    }

    /// Whether the gateway at this address has started.
    pub async fn is_ready(&self, gateway: SocketAddr) -> bool {
        self.ask(gateway).await == Answer::Ready
    }

    /// The same for a gateway that was ready before and may only be busy. One that has exited or restarts fails at
    /// once; one that hangs fails after twenty seconds.
    pub async fn is_still_ready(&self, gateway: SocketAddr) -> bool {
        self.ask_for(gateway, BUSY_TIMEOUT).await == Answer::Ready
    }

    async fn ask_for(&self, gateway: SocketAddr, timeout: Duration) -> Answer {
        let mut request = self.http.get(format!("http://{gateway}/startupz")).timeout(timeout);
        if self.routing == Routing::Nginx {
            request = request.header("x-forwarded-for", PROBE_CLIENT);
        }
        // Only the status counts: the body comes from the tenant's container.
        match request.send().await {
            Ok(response) if response.status() == reqwest::StatusCode::OK => Answer::Ready,
            Err(error) if error.is_timeout() => Answer::Slow,
            Ok(_) | Err(_) => Answer::NotReady,
        }
    }
}
