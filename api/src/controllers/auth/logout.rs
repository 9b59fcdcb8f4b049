use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use clawdeploy_shared::db::{Scope, session, token};

use crate::{
    audit::{Entry, Target},
    auth::{Credential, Principal, cookie},
    error::AppResult,
    middleware::RequestContext,
    state::AppState,
};

/// Signs out: ends the session or revokes the token of this request
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = NO_CONTENT)))]
pub async fn logout(app: AppState, who: Principal, context: RequestContext) -> AppResult<Response> {
    app.transaction(Scope::Everything, async move |conn| {
        let entry = match who.credential {
            Credential::Session(id) => {
                session::end(conn, who.user.id, id).await?;
                Entry::new("auth.logout", Target::Session(id))
            }
            Credential::Token(id) => {
                token::revoke(conn, who.user.id, id).await?;
                Entry::new("token.revoke", Target::Token(id))
            }
            // Only the identity provider can end its tokens.
            Credential::Provider { .. } => return Ok(()),
        };
        Ok(entry.owned_by(who.user.id).by(conn, &who, &context).await?)
    })
    .await?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie::clear())]).into_response())
}
