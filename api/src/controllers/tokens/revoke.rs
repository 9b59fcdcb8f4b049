use axum::http::StatusCode;
use clawdeploy_shared::db::token;

use super::TokenPath;
use crate::{
    audit::{Entry, Target},
    auth::Account,
    error::{AppError, AppResult},
    extract::Path,
    middleware::RequestContext,
    state::AppState,
};

/// Revokes an API token
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "tokens", params(TokenPath), responses((status = NO_CONTENT)))]
pub async fn revoke_token(
    app: AppState,
    Account(who): Account,
    context: RequestContext,
    Path(path): Path<TokenPath>,
) -> AppResult<StatusCode> {
    app.transaction(who.own(), async move |conn| {
        if !token::revoke(conn, who.user.id, path.id).await? {
            return Err(AppError::not_found("token"));
        }
        let entry = Entry::new("token.revoke", Target::Token(path.id)).owned_by(who.user.id);
        Ok(entry.by(conn, &who, &context).await?)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
