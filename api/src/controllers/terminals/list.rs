use clawdeploy_shared::{
    db::{instance, terminal},
    rpc::terminal::TerminalView,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::Principal,
    controllers::instances::InstancePath,
    error::{AppError, AppResult},
    extract::{Json, Path},
    state::AppState,
};

/// Open terminals.
#[derive(Debug, Serialize, ToSchema)]
pub struct TerminalList {
    /// Oldest first.
    items: Vec<TerminalView>,
}

/// Lists the open terminals of an instance
///
/// For the owner only. A terminal whose client has disconnected stays open for a minute, unless configured otherwise.
#[utoipa::path(
    get, path = "/api/instances/{id}/terminals", tag = "terminals", params(InstancePath),
    responses((status = OK, body = TerminalList)),
)]
pub async fn list_terminals(
    app: AppState,
    who: Principal,
    Path(path): Path<InstancePath>,
) -> AppResult<Json<TerminalList>> {
    let open = app.read(who.own(), async |conn| {
        instance::find(conn, who.own(), &path.id).await?.ok_or_else(|| AppError::not_found("instance"))?;
        Ok(terminal::list_open(conn, who.user.id, &path.id).await?)
    });
    let view = |terminal: terminal::Terminal| TerminalView {
        id: terminal.id,
        command: terminal.command,
        started_at: terminal.started_at,
    };
    Ok(Json(TerminalList { items: open.await?.into_iter().map(view).collect() }))
}
