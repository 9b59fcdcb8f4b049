use axum::http::StatusCode;
use clawdeploy_shared::{
    db::{
        instance::{self, Instance},
        sleep,
        terminal::{self, NewTerminal, Terminal},
        token::TokenScope,
        user,
    },
    ids::TerminalId,
    rpc::terminal::{OpenArguments, Size, TerminalCommand},
    sleep::WokenBy,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Ticket;
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    controllers::instances::{InstancePath, running},
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, OptionalJson, Path},
    middleware::RequestContext,
    state::AppState,
    wake::own_awake,
};

/// Options of a new terminal.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OpenTerminal {
    /// Columns, 2 to 1000
    #[schema(default = 80)]
    cols: u16,
    /// Rows, 1 to 500
    #[schema(default = 24)]
    rows: u16,
    /// Command to run; default: a shell
    command: Option<TerminalCommand>,
}

impl Default for OpenTerminal {
    fn default() -> Self {
        Self { cols: 80, rows: 24, command: None }
    }
}

impl OpenTerminal {
    pub(super) fn new(cols: Option<u16>, rows: Option<u16>, command: Option<TerminalCommand>) -> Self {
        let default = Self::default();
        Self { cols: cols.unwrap_or(default.cols), rows: rows.unwrap_or(default.rows), command }
    }
}

/// An opened terminal, with a ticket to attach to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenedTerminal {
    terminal_id: TerminalId,
    #[serde(flatten)]
    ticket: Ticket,
}

/// Opens a terminal in an instance
///
/// For the owner only, while the instance runs; one that sleeps is woken (`waking`). Attach with a WebSocket at `/api/terminals/{terminalId}/ws` with the
/// subprotocols `clawdeploy-term.v1` and `ticket.{ticket}`, from a page of the panel's own origin.
///
/// Binary messages are input and output, byte for byte. Text messages are JSON. The server sends
/// `{"type":"hello","offset","reset","replay"}`, then the replay buffer from `offset` on, then new output. It also
/// sends `warning`, `error` and `{"type":"exit","code"}`. The client sends `{"type":"ack","offset"}` for each 64 KiB
/// that it has shown; the server sends at most 256 KiB without acknowledgement. The client can also send
/// `{"type":"resize","cols","rows"}` and `{"type":"close"}`.
///
/// A disconnected client has a minute, unless configured otherwise, to request another ticket and attach again. In
/// `?from=` it passes the offset up to which it has shown the output.
///
/// Close codes: 1000: the terminal ended; 1009: a message was larger than 64 KiB; 1012: attach again; 4001: another
/// client attached; 4008: nothing was acknowledged or typed for too long; 4401: the ticket is not valid, or the person
/// was signed out; 4403: access was revoked; 4404: the terminal no longer exists; 4409: the instance is stopped.
#[utoipa::path(
    post, path = "/api/instances/{id}/terminals", tag = "terminals", params(InstancePath), request_body = OpenTerminal,
    responses((status = CREATED, body = OpenedTerminal)),
)]
pub async fn open_terminal(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<InstancePath>,
    OptionalJson(form): OptionalJson<OpenTerminal>,
) -> AppResult<(StatusCode, Json<OpenedTerminal>)> {
    let (instance, _) = own_awake(&app, &who, &context, &path.id, WokenBy::Terminal).await?;
    let state = app.clone();
    let opened = app
        .change(async move {
            let terminal = open(&state, who, &context, instance, form).await?;
            let ticket = Ticket::give(&state, terminal.id).await?;
            Ok(OpenedTerminal { terminal_id: terminal.id, ticket })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(opened)))
}

/// Inserts the row of a terminal, then opens the terminal on the first worker that can. A terminal never exists without
/// a row.
pub(super) async fn open(
    app: &AppState,
    who: Principal,
    context: &RequestContext,
    instance: Instance,
    form: OpenTerminal,
) -> AppResult<Terminal> {
    // A WebSocket request is a GET, for which the scope `read` is enough otherwise.
    who.needs(TokenScope::Operate)?;
    let workers = app.rpc.workers().await?;
    let id = TerminalId::generate();
    let noted = app.db.write(who.own(), async |conn| {
        // Locked, so that it cannot fall asleep at this moment.
        let found = instance::find_for_update(conn, who.own(), &instance.id).await?;
        if found.is_none_or(|found| sleep::is_asleep(&found)) {
            return Err(running::not_running(&instance));
        }
        // The lock keeps the counts valid: nobody else opens terminals in this person's instances.
        user::lock(conn, who.user.id).await?;
        let (of_user, in_instance) = terminal::count_open(conn, who.user.id, &instance.id).await?;
        let own = who.user.quotas.terminals.map_or(i64::from(app.max_terminals_per_user), i64::from);
        if of_user >= own || in_instance >= i64::from(app.max_terminals_per_instance) {
            return Err(limit("You have reached the limit of open terminals. Close one first."));
        }
        let new = NewTerminal {
            id,
            user_id: who.user.id,
            token_id: who.credential.token(),
            session_id: who.credential.session(),
            good_until: who.credential.good_until(),
            instance_id: &instance.id,
            worker: &workers[0].id,
            command: form.command,
        };
        terminal::insert(conn, &new).await?;
        Entry::new("terminal.open", Target::Instance(&instance.id))
            .owned_by(instance.owner_id)
            .detail(json!({ "terminalId": id, "command": form.command }))
            .by(conn, &who, context)
            .await?;
        AppResult::Ok(())
    });
    noted.await?;
    let size = Size { cols: form.cols, rows: form.rows }.clamped();
    let arguments = OpenArguments { terminal_id: id, size, command: form.command };
    let opened: AppResult<()> = app.rpc.open_terminal(&workers, &instance.id, &arguments).await;
    if let Err(error) = opened {
        // If the worker has opened the terminal after all, it ends it, because the row is missing.
        app.db.write(who.own(), async |conn| terminal::forget(conn, id).await).await?;
        return Err(match error.code() {
            ErrorCode::GatewayBusy => limit("The servers have reached their limit of open terminals. Try again later."),
            ErrorCode::GatewayFailed => {
                let detail =
                    "The instance could not start a shell. Try again; if it fails again, restart the instance.";
                AppError::new(ErrorCode::GatewayFailed, detail).with_source(error)
            }
            _ => error,
        });
    }
    let found = app.read(who.own(), async |conn| Ok(terminal::find_open(conn, who.user.id, id).await?)).await?;
    found.ok_or_else(|| AppError::not_found("terminal"))
}

fn limit(detail: &'static str) -> AppError {
    AppError::new(ErrorCode::TerminalLimit, detail)
}
