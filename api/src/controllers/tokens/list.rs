use clawdeploy_shared::db::token::{self, ApiToken};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{Credential, Principal},
    error::AppResult,
    extract::Json,
    page::Page,
    state::AppState,
};

/// An API token. Its secret was shown once and is not stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    #[serde(flatten)]
    token: ApiToken,
    /// Whether it is the token of this request.
    current: bool,
}

/// Lists your valid API tokens, newest first
#[utoipa::path(get, path = "/api/tokens", tag = "tokens", responses((status = OK, body = Page<TokenView>)))]
pub async fn list_tokens(app: AppState, who: Principal) -> AppResult<Json<Page<TokenView>>> {
    let tokens = app.read(who.own(), async |conn| Ok(token::list(conn, who.user.id).await?)).await?;
    let views =
        tokens.into_iter().map(|token| TokenView { current: who.credential == Credential::Token(token.id), token });
    Ok(Json(Page::whole(views.collect())))
}
