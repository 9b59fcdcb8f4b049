//! Asks a gateway whether it is ready.

use std::{net::SocketAddr, time::Duration};

use clawdeploy_shared::{
    config::Routing,
    http::{self, ClientError},
};

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit for a gateway that was ready before: its own commands keep it busy for a dozen seconds on a busy machine.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Claimed client address of a probe. Behind a proxy OpenClaw answers 403 to requests without a client address or with
/// a local one. This one is reserved for documentation (RFC 5737).
const PROBE_CLIENT: &str = "203.0.113.7";

/// Asks gateways at their addresses.
#[derive(Debug, Clone)]
pub struct Probe {
    http: reqwest::Client,
    routing: Routing,
}

impl Probe {
    pub fn new(routing: Routing) -> Result<Self, ClientError> {
        Ok(Self { http: http::local()?.build()?, routing })
    }

    /// Whether the gateway at this address has started. Asks `/startupz`: `/healthz` answers seconds too early, and
    /// `/readyz` also fails for a channel whose service is down.
    pub async fn is_ready(&self, gateway: SocketAddr) -> bool {
        self.answers(gateway, TIMEOUT).await
    }

    /// The same for a gateway that was ready before and may only be busy. One that has exited or restarts fails at
    /// once.
    pub async fn is_still_ready(&self, gateway: SocketAddr) -> bool {
        self.answers(gateway, BUSY_TIMEOUT).await
    }

    async fn answers(&self, gateway: SocketAddr, timeout: Duration) -> bool {
        let mut request = self.http.get(format!("http://{gateway}/startupz")).timeout(timeout);
        if self.routing == Routing::Nginx {
            request = request.header("x-forwarded-for", PROBE_CLIENT);
        }
        // Only the status counts: the body comes from the tenant's container.
        request.send().await.is_ok_and(|response| response.status() == reqwest::StatusCode::OK)
    }
}
