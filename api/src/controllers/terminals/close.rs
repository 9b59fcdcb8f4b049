use axum::http::StatusCode;
use clawdeploy_shared::{db::terminal, rpc::terminal::TerminalEnd};

use super::TerminalPath;
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::Path,
    state::AppState,
};

/// Closes a terminal, and ends what runs in it
///
/// Only for the person who opened it. It ends within a second.
#[utoipa::path(
    delete, path = "/api/terminals/{id}", tag = "terminals", params(TerminalPath),
    responses((status = NO_CONTENT)),
)]
pub async fn close_terminal(app: AppState, who: Principal, Path(path): Path<TerminalPath>) -> AppResult<StatusCode> {
    app.transaction(who.own(), async move |conn| {
        let found = terminal::find_open(conn, who.user.id, path.id).await?;
        found.ok_or_else(|| AppError::not_found("terminal"))?;
        // Its end is in the audit log, from whoever notes it.
        terminal::close(conn, path.id, TerminalEnd::Closed).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
