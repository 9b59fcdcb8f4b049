use axum::http::StatusCode;
use clawdeploy_shared::db::session;

use super::SessionPath;
use crate::{
    audit::{Entry, Target},
    auth::Account,
    error::{AppError, AppResult},
    extract::Path,
    middleware::RequestContext,
    state::AppState,
};

/// Ends a session
///
/// Its cookie is refused from now on.
#[utoipa::path(
    delete, path = "/api/sessions/{id}", tag = "auth", params(SessionPath), responses((status = NO_CONTENT)),
)]
pub async fn end_session(
    app: AppState,
    Account(who): Account,
    context: RequestContext,
    Path(path): Path<SessionPath>,
) -> AppResult<StatusCode> {
    app.transaction(who.own(), async move |conn| {
        if !session::end(conn, who.user.id, path.id).await? {
            return Err(AppError::not_found("session"));
        }
        let entry = Entry::new("session.end", Target::Session(path.id)).owned_by(who.user.id);
        Ok(entry.by(conn, &who, &context).await?)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
