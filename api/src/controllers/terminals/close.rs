use axum::http::StatusCode;
use clawdeploy_shared::{db::terminal, rpc::terminal::TerminalEnd};

use super::TerminalPath;
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::Path,
    state::AppState,
};

/// Closes a terminal and ends its program
///
/// Only for the person who opened it. The terminal ends within a second.
#[utoipa::path(
    delete, path = "/api/terminals/{id}", tag = "terminals", params(TerminalPath),
    responses((status = NO_CONTENT)),
)]
pub async fn close_terminal(app: AppState, who: Principal, Path(path): Path<TerminalPath>) -> AppResult<StatusCode> {
    app.transaction(who.own(), async move |conn| {
        let found = terminal::find_open(conn, who.user.id, path.id).await?;
        found.ok_or_else(|| AppError::not_found("terminal"))?;
        // The audit entry is written by the worker that records its end.
        terminal::close(conn, path.id, TerminalEnd::Closed).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
