use axum::http::StatusCode;

use crate::{
    auth::Principal, controllers::tokens::revoke::revoke, error::AppResult, middleware::RequestContext, state::AppState,
};

/// Signs out: the token that is presented is good for nothing any more
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = NO_CONTENT)))]
pub async fn logout(app: AppState, who: Principal, context: RequestContext) -> AppResult<StatusCode> {
    let presented = who.token_id;
    revoke(&app, who, context, presented).await?;
    Ok(StatusCode::NO_CONTENT)
}
