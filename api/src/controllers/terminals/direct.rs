use axum::{
    extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    http::HeaderMap,
    response::Response,
};

use super::{
    DirectQuery,
    attach::{attach, not_a_websocket},
    open::{OpenTerminal, open},
};
use crate::{
    auth::Principal,
    controllers::instances::{InstancePath, running::own_running},
    error::AppResult,
    extract::{Path, Query},
    middleware::RequestContext,
    state::AppState,
};

/// Opens a terminal in an instance and attaches to it, in one WebSocket
///
/// For the owner only, while the instance runs. The messages are the same as for a terminal opened with
/// `POST /api/instances/{id}/terminals`. Programs authenticate with their token. Browsers must open the WebSocket from
/// a page of the panel.
#[utoipa::path(
    get, path = "/api/instances/{id}/terminal", tag = "terminals", params(InstancePath, DirectQuery),
    responses((status = SWITCHING_PROTOCOLS, description = "A WebSocket")),
)]
pub async fn open_terminal_directly(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
    Query(query): Query<DirectQuery>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> AppResult<Response> {
    let (instance, _) = own_running(&app, &who, &path.id).await?;
    app.own_origin.require_of_browsers(&headers)?;
    let upgrade = upgrade.map_err(|_| not_a_websocket())?;
    let form = OpenTerminal::new(query.cols, query.rows, query.command);
    let state = app.clone();
    let terminal = app.change(async move { open(&state, who, &context, instance, form).await }).await?;
    attach(app, upgrade, terminal, None).await
}
