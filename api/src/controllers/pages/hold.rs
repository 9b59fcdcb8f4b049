//! Holds requests to instances that sleep or are about to run.
//!
//! nginx asks here before it passes such a request on, and waits for the answer (`auth_request`). So a webhook that wakes
//! an instance is delivered, and its sender notices nothing but the time. Like [the status page](super::instance), it is
//! public, and wakes the instance.

use std::time::Duration;

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use clawdeploy_shared::{db::route::Arrival, ids::InstanceId, sleep::WokenBy};
use tokio::time::timeout;

use super::instance::reads_pages;
use crate::{error::AppResult, extract::Path, state::AppState, wake::wake};

/// How long a program is held. A boot usually takes less; most senders of webhooks give up within a minute.
const PROGRAM_LIMIT: Duration = Duration::from_secs(55);
/// How long a person is held: until a frozen gateway has woken. For a boot, the page that shows its progress is better.
const PERSON_LIMIT: Duration = Duration::from_secs(1);

/// How many requests to one instance are held at a time. Others get the status page.
pub const MAX_PER_INSTANCE: usize = 64;

/// Header with the port of the gateway.
const PORT: &str = "x-clawdeploy-port";

/// 204 once the gateway answers, with its port; 403 if it does not in time. `id` is the requested subdomain of the base
/// domain.
pub async fn hold(app: AppState, headers: HeaderMap, Path(id): Path<String>) -> AppResult<Response> {
    let limit = if reads_pages(&headers) { PERSON_LIMIT } else { PROGRAM_LIMIT };
    let Some(slot) = id.parse().ok().and_then(|id: InstanceId| app.held.take(id)) else {
        return Ok(StatusCode::FORBIDDEN.into_response());
    };
    let arrived = timeout(limit, app.shutdown.run_until_cancelled(arrival(&app, slot.key()))).await;
    Ok(match arrived.unwrap_or_default().transpose()?.flatten() {
        Some(port) => (StatusCode::NO_CONTENT, [(PORT, port.to_string())]).into_response(),
        None => StatusCode::FORBIDDEN.into_response(),
    })
}

/// Waits until the gateway answers, and returns its port. `None`: it will not.
async fn arrival(app: &AppState, id: &InstanceId) -> AppResult<Option<u16>> {
    let mut woken = false;
    loop {
        match *app.follow.arrivals.ask(id.clone()).await? {
            Arrival::At(port) => return Ok(Some(port)),
            // It was woken once, and somebody has cancelled that.
            Arrival::Asleep if woken => return Ok(None),
            Arrival::Asleep => match wake(app, id, WokenBy::Address, None).await {
                Ok(_) => woken = true,
                Err(refusal) if refusal.status().is_server_error() => return Err(refusal),
                // The status page says why.
                Err(_) => return Ok(None),
            },
            Arrival::Never => return Ok(None),
        }
    }
}
