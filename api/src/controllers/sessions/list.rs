use clawdeploy_shared::db::session::{self, Session};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{Credential, Principal},
    error::AppResult,
    extract::Json,
    page::Page,
    state::AppState,
};

#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    #[serde(flatten)]
    session: Session,
    /// Whether it is the session of this request.
    current: bool,
}

/// Lists your sessions in browsers, most recently used first
#[utoipa::path(get, path = "/api/sessions", tag = "auth", responses((status = OK, body = Page<SessionView>)))]
pub async fn list_sessions(app: AppState, who: Principal) -> AppResult<Json<Page<SessionView>>> {
    let sessions = app.read(who.own(), async |conn| Ok(session::list(conn, who.user.id).await?)).await?;
    let views = sessions
        .into_iter()
        .map(|session| SessionView { current: who.credential == Credential::Session(session.id), session });
    Ok(Json(Page::whole(views.collect())))
}
