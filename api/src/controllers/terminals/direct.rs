#![expect(unused_qualifications, reason = "made by the macro for the document, of parameters of two kinds")]

use axum::{
    extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    http::HeaderMap,
    response::Response,
};
use clawdeploy_shared::inside::terminal::TerminalCommand;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    attach::{attach, not_a_websocket},
    open::{OpenTerminal, open},
};
use crate::{
    auth::Principal,
    controllers::instances::{InstancePath, running::own_running},
    error::AppResult,
    extract::{Path, Query},
    middleware::RequestContext,
    origin,
    state::AppState,
};

/// How a terminal is to be.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DirectQuery {
    /// Characters in a line; 80 if nothing is said
    cols: Option<u16>,
    /// Lines; 24 if nothing is said
    rows: Option<u16>,
    /// What runs in it; nothing: a shell
    #[param(inline)]
    command: Option<TerminalCommand>,
}

/// Opens a terminal in an instance and attaches to it, in one WebSocket
///
/// For the owner only, while the instance runs. What is said is what is said to a terminal that was opened by
/// `POST /api/instances/{id}/terminals`. Programs show their token as always; a browser has to come from a page of the panel's own.
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
    origin::require_of_browsers(&headers, &app.origin)?;
    let upgrade = upgrade.map_err(|_| not_a_websocket())?;
    let form = OpenTerminal::new(query.cols, query.rows, query.command);
    let state = app.clone();
    let terminal = app.change(async move { open(&state, who, &context, instance, form).await }).await?;
    attach(app, upgrade, terminal, None).await
}
