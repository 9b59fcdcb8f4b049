use clawdeploy_shared::db::terminal;

use super::{TerminalPath, Ticket};
use crate::{
    auth::Principal,
    error::{AppError, AppResult},
    extract::{Json, Path},
    state::AppState,
};

/// Creates another ticket for a terminal, to attach to it again
///
/// Only for the person who opened it. Earlier tickets become invalid.
#[utoipa::path(
    post, path = "/api/terminals/{id}/ticket", tag = "terminals", params(TerminalPath),
    responses((status = OK, body = Ticket)),
)]
pub async fn create_terminal_ticket(
    app: AppState,
    who: Principal,
    Path(path): Path<TerminalPath>,
) -> AppResult<Json<Ticket>> {
    let state = app.clone();
    app.change(async move {
        let prolonged = state.db.write(who.own(), async |conn| {
            let found = terminal::find_open(conn, who.user.id, path.id).await?;
            found.ok_or_else(|| AppError::not_found("terminal"))?;
            if let Some(until) = who.credential.good_until() {
                terminal::prolong(conn, path.id, until).await?;
            }
            AppResult::Ok(())
        });
        prolonged.await?;
        Ok(Json(Ticket::give(&state, path.id).await?))
    })
    .await
}
