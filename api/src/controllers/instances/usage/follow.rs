use axum::response::{IntoResponse as _, Response, sse::Event};
use clawdeploy_shared::rpc::{NoArguments, Verb, usage::Usage};

use super::super::{InstancePath, running::own_running};
use crate::{auth::Principal, error::AppResult, event_stream::live::Live, extract::Path, state::AppState};

/// Streams an instance's usage, once a second
///
/// For the owner only, while the instance runs. Each event is named `usage`. When the gateway has exited, an event
/// named `end` follows.
#[utoipa::path(
    get, path = "/api/instances/{id}/usage", tag = "instances", params(InstancePath),
    responses((status = OK, content((Usage = "text/event-stream")))),
)]
pub async fn follow_usage(app: AppState, who: Principal, Path(path): Path<InstancePath>) -> AppResult<Response> {
    follow(app, who, path, "usage").await
}

/// Streams an instance's usage, once a second
///
/// Use `GET /api/instances/{id}/usage` instead. Here, each event is named `stats`.
#[utoipa::path(
    get, path = "/api/instances/{id}/stats", tag = "instances", params(InstancePath),
    responses((status = OK, content((Usage = "text/event-stream")))),
)]
#[deprecated = "use follow_usage"]
pub async fn follow_stats(app: AppState, who: Principal, Path(path): Path<InstancePath>) -> AppResult<Response> {
    follow(app, who, path, "stats").await
}

async fn follow(app: AppState, who: Principal, path: InstancePath, name: &'static str) -> AppResult<Response> {
    own_running(&app, &who, &path.id).await?;
    let values = app.rpc.stream(Verb::Usage, &path.id, &NoArguments {}).await?;
    let live = Live::new(&app, &who, &path.id, values)?;
    // It consists of numbers, so its serialization cannot fail.
    let event = move |usage: &Usage| Event::default().event(name).json_data(usage).unwrap_or_default();
    Ok(live.events(event).into_response())
}
