use axum::http::StatusCode;
use clawdeploy_shared::{db::token, ids::TokenId};
use diesel_async::AsyncConnection as _;

use super::TokenPath;
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    error::{AppError, AppResult},
    extract::Path,
    middleware::RequestContext,
    state::AppState,
};

/// Revokes a token: it is refused from now on
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "tokens", params(TokenPath), responses((status = NO_CONTENT)))]
pub async fn revoke_token(
    app: AppState,
    who: Principal,
    context: RequestContext,
    Path(path): Path<TokenPath>,
) -> AppResult<StatusCode> {
    revoke(&app, who, context, path.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revokes a token of this person.
pub async fn revoke(app: &AppState, who: Principal, context: RequestContext, id: TokenId) -> AppResult<()> {
    let db = app.db.clone();
    app.change(async move {
        let mut conn = db.conn().await?;
        conn.transaction(async |conn| {
            if !token::revoke(conn, who.user.id, id).await? {
                return Err(AppError::not_found("token"));
            }
            Ok(Entry::new("token.revoke", Target::Token(id)).owned_by(who.user.id).by(conn, &who, &context).await?)
        })
        .await
    })
    .await
}
