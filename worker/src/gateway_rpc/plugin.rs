//! Asks our plugin in a gateway (`image/layer/plugin`). Images of before have none, and an owner can switch it off.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clawdeploy_shared::{http, rpc::OwnerBootstrap};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{Failure, Link};
use crate::probe::PROBE_CLIENT;

/// Time limit. The first answer after a start took 0.3 s, later ones 0.07 s, and 1.8 s on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest answer, in bytes. It has about 90.
const BODY_CAP: usize = 4096;
/// Longest token that is passed on. OpenClaw's have 43 characters.
const TOKEN_CAP: usize = 256;

/// A token for signing in, as OpenClaw says it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    token: SecretString,
    expires_at_ms: i64,
}

impl Link {
    /// A token with which the owner's browser signs in once.
    pub(crate) async fn owner_bootstrap(&self, client: &reqwest::Client) -> Result<OwnerBootstrap, Failure> {
        let mut request = client
            .post(format!("http://{}/clawdeploy/v1/owner-bootstrap", self.address))
            .bearer_auth(self.token.expose_secret())
            .timeout(LIMIT);
        if self.proxied {
            request = request.header("x-forwarded-for", PROBE_CLIENT);
        }
        let answer = request.send().await.map_err(Failure::Request)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(Failure::Status(answer.status()));
        }
        let body = http::body(answer, BODY_CAP).await.map_err(Failure::Request)?.ok_or(Failure::TooMuch)?;
        let issued: Issued = serde_json::from_slice(&body)?;
        checked(issued.token.expose_secret(), issued.expires_at_ms).ok_or(Failure::Nonsense)
    }
}

/// A token that becomes part of a link, so only characters without a meaning there are accepted.
pub(crate) fn checked(token: &str, expires_at_ms: i64) -> Option<OwnerBootstrap> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if token.is_empty() || token.len() > TOKEN_CAP || !token.bytes().all(is_plain) {
        return None;
    }
    let expires_at = DateTime::<Utc>::from_timestamp_millis(expires_at_ms)?;
    Some(OwnerBootstrap { token: token.into(), expires_at })
}
