//! Asks a running gateway: tens of milliseconds, and no memory in the container. Over HTTP our [`plugin`] is asked for a
//! link to the dashboard; everything else goes over OpenClaw's WebSocket.
//!
//! The gateway admits a connection that has its token and the signature of a paired device. We have one [`device`] on
//! each gateway. It is paired when it is first needed, each time with the single scope that is required:
//!
//! - to list devices (`rpc/device_lists.rs`); whenever that fails, OpenClaw's command line answers instead, and
//!   [`attempts`] says when to try again;
//! - to see whether an instance is idle, and to let it sleep ([`activity`], `sleep.rs`).
//!
//! The tenant controls what the gateway says: time, sizes and numbers of messages are limited.

use std::{io, net::SocketAddr, time::Duration};

use clawdeploy_shared::{
    config::Routing,
    db::instance::{Instance, seal_context},
    rpc::{DeviceId, PairingRequestId},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use self::{
    device::{Device, Scope},
    session::Session,
};
use crate::env::Env;

pub(crate) mod activity;
pub(crate) mod attempts;
pub(crate) mod device;
pub(crate) mod plugin;
mod session;
#[cfg(test)]
mod tests;

/// Time limit of a list, including the connection.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// Why the gateway did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the gateway cannot be reached")]
    Connection(#[from] io::Error),
    #[error("the connection failed")]
    Socket(#[source] Box<tungstenite::Error>),
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    #[error("the gateway answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the gateway took too long")]
    TooSlow,
    #[error("the gateway closed the connection")]
    Closed,
    #[error("the gateway said too much")]
    TooMuch,
    #[error("a message could not be parsed")]
    Message(#[from] serde_json::Error),
    #[error("the answer makes no sense")]
    Nonsense,
    #[error("our device is not paired")]
    NotPaired(PairingRequestId),
    #[error("the gateway refused: {0}")]
    Refused(String),
}

/// How to reach a gateway, and as whom.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    /// Whether the gateway expects a proxy in front of it.
    pub(crate) proxied: bool,
    pub(crate) token: SecretString,
    pub(crate) device: Device,
    /// Our devices from the time before a rotation of keys.
    pub(crate) retired: Vec<DeviceId>,
}

impl Link {
    /// How to reach the gateway of an instance. `None`: its token cannot be read.
    pub(crate) fn to(env: &Env, row: &Instance, port: u16) -> Option<Self> {
        let token = env.sealer.open(&row.gateway_token_sealed, seal_context::gateway_token(&row.id)).ok()?;
        let mut devices = Device::all(&env.sealer, &row.id).into_iter();
        let device = devices.next()?;
        let retired = devices.map(|device| device.id).collect();
        let proxied = env.config.routing.routing == Routing::Nginx;
        Some(Self { address: env.runtime.address(port), proxied, token, device, retired })
    }

    /// Connects, does this work, and says goodbye, all within a time.
    async fn talk<T>(
        &self,
        scope: Scope,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let talk = async {
            let mut session = Session::open(self, scope).await?;
            let said = work(&mut session).await?;
            session.close().await;
            Ok(said)
        };
        timeout(limit, talk).await.unwrap_or(Err(Failure::TooSlow))
    }

    /// The answer to `device.pair.list`, with our own device. Removes our retired ones.
    pub(crate) async fn devices(&self, limit: Duration) -> Result<Value, Failure> {
        let listed = self.talk(Scope::Pairing, limit, async |session| {
            let listed = session.call("device.pair.list", &json!({})).await?;
            let paired = listed["paired"].as_array().into_iter().flatten();
            let known: Vec<&str> = paired.filter_map(|device| device["deviceId"].as_str()).collect();
            for id in self.retired.iter().filter(|id| known.contains(&id.as_str())) {
                // If it is refused, the next list tries again.
                let _ = session.call("device.pair.remove", &json!({ "deviceId": id })).await;
            }
            Ok(listed)
        });
        listed.await
    }
}
