use axum::response::{IntoResponse as _, Response, sse::Event};
use clawdeploy_shared::inside::{NoArguments, Verb, usage::Usage};

use super::{InstancePath, running::own_running};
use crate::{auth::Principal, error::AppResult, event_stream::live::Live, extract::Path, state::AppState};

/// Streams an instance's resource usage, once a second
///
/// For the owner only, while the instance runs. Each event is named `stats`; an event named `end` follows when the gateway has
/// ended.
#[utoipa::path(
    get, path = "/api/instances/{id}/stats", tag = "instances", params(InstancePath),
    responses((status = OK, content((Usage = "text/event-stream")))),
)]
pub async fn follow_stats(app: AppState, who: Principal, Path(path): Path<InstancePath>) -> AppResult<Response> {
    own_running(&app, &who, &path.id).await?;
    let values = app.inside.stream(Verb::Stats, &path.id, &NoArguments {}).await?;
    let live = Live::new(app, &who, path.id, values)?;
    // It is made of numbers.
    let event = |usage: &Usage| Event::default().event("stats").json_data(usage).unwrap_or_default();
    Ok(live.events(event).into_response())
}
