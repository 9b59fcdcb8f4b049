//! `GET /api/terminals/{id}/ws`: attaches a WebSocket with a ticket.
//!
//! It is not in the OpenAPI document, which cannot describe WebSockets. The protocol is documented where a terminal is
//! opened.

use axum::{
    extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, header},
    response::Response,
};
use clawdeploy_shared::{
    db::terminal::{self, Terminal},
    ids::TerminalId,
    rpc::terminal::{INPUT_CAP, PROTOCOL, TICKET_PREFIX, close},
    token::token_hash,
};
use serde::Deserialize;

use super::TerminalPath;
use crate::{
    error::{AppError, AppResult, ErrorCode},
    extract::{Path, Query},
    relay,
    rpc::socket::Attached,
    state::AppState,
};

#[derive(Debug, Deserialize)]
pub struct AttachQuery {
    /// Offset up to which the client has shown the output.
    from: Option<u64>,
}

pub async fn attach_terminal(
    app: AppState,
    Path(path): Path<TerminalPath>,
    Query(query): Query<AttachQuery>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> AppResult<Response> {
    app.own_origin.require(&headers)?;
    let upgrade = upgrade.map_err(|_| not_a_websocket())?;
    let found = admitted(&app, path.id, &headers).await?;
    match found {
        Ok(terminal) => attach(app, upgrade, terminal, query.from).await,
        Err(refusal) => Ok(refuse(upgrade, refusal)),
    }
}

/// Why a WebSocket is closed at once: the close code, the error code and the message.
pub(super) type Refusal = (u16, &'static str, &'static str);

const BAD_TICKET: Refusal = (
    close::TICKET,
    "invalid_ticket",
    "The ticket was already used, has expired, or is for another terminal. Request another one.",
);
const GONE: Refusal = (close::GONE, "terminal_gone", "The terminal has ended. Open another one.");
const UNREACHABLE: Refusal =
    (close::AGAIN, "worker_unreachable", "The server that holds the terminal cannot be reached. Try again shortly.");

/// Uses up the ticket and returns its terminal, or the reason for a refusal.
async fn admitted(app: &AppState, id: TerminalId, headers: &HeaderMap) -> AppResult<Result<Terminal, Refusal>> {
    let mut conn = app.db.conn().await?;
    if let Some(ticket) = presented(headers)
        && let Some(terminal) = terminal::take_ticket(&mut conn, id, &token_hash(ticket)).await?
    {
        return Ok(Ok(terminal));
    }
    Ok(Err(if terminal::is_open(&mut conn, id).await? { BAD_TICKET } else { GONE }))
}

/// The ticket from the offered subprotocols.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).find_map(|one| one.trim().strip_prefix(TICKET_PREFIX))
}

/// Connects a WebSocket to a terminal.
pub(super) async fn attach(
    app: AppState,
    upgrade: WebSocketUpgrade,
    terminal: Terminal,
    from: Option<u64>,
) -> AppResult<Response> {
    let worker = match app.rpc.attach(&terminal, from).await? {
        Attached::To(worker) => worker,
        Attached::Gone => return Ok(refuse(upgrade, GONE)),
        Attached::Unreachable => return Ok(refuse(upgrade, UNREACHABLE)),
    };
    // At shutdown, the server does not wait for upgraded connections; the token makes the process wait.
    let (shutdown, begun) = (app.shutdown.clone(), app.changes.token());
    Ok(prepared(upgrade).on_upgrade(async move |browser| {
        relay::run(browser, *worker, shutdown).await;
        drop(begun);
    }))
}

fn refuse(upgrade: WebSocketUpgrade, (code, name, message): Refusal) -> Response {
    prepared(upgrade).on_upgrade(async move |browser| relay::refuse(browser, code, name, message).await)
}

/// Limits the length of messages, and sends each without buffering.
fn prepared(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.protocols([PROTOCOL]).max_message_size(INPUT_CAP).max_frame_size(INPUT_CAP).write_buffer_size(0)
}

pub(super) fn not_a_websocket() -> AppError {
    AppError::new(ErrorCode::UpgradeRequired, "This address accepts only WebSocket connections.")
}
