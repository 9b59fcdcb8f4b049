use axum::http::StatusCode;
use chrono::{TimeDelta, Utc};
use clawdeploy_shared::{
    db::token::{self, ApiToken, NewApiToken, TokenScope},
    ids::TokenId,
    token::{api_token, token_hash},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    audit::{Entry, Target},
    auth::Account,
    error::AppResult,
    extract::Json,
    middleware::RequestContext,
    reveal::Revealed,
    state::AppState,
    validate::Checks,
};

/// Bounds of the lifetime of a token, in days.
pub const DAYS: (i32, i32) = (1, 365);
pub const DEFAULT_DAYS: i32 = 90;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateToken {
    /// Name, to distinguish your tokens
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 64, example = "backup script")]
    name: String,
    /// Scope: `read` can only read, `operate` can also change your instances, `admin` can do everything that you may do
    #[schema(value_type = Option<TokenScope>, default = "operate")]
    scope: Option<String>,
    /// Days until the token expires
    #[schema(minimum = 1, maximum = 365, default = 90)]
    expires_in_days: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedToken {
    #[serde(flatten)]
    about: ApiToken,
    /// Shown only in this response.
    token: Revealed,
}

/// Creates an API token
#[utoipa::path(
    post, path = "/api/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = CREATED, body = CreatedToken)),
)]
pub async fn create_token(
    app: AppState,
    Account(who): Account,
    context: RequestContext,
    Json(form): Json<CreateToken>,
) -> AppResult<(StatusCode, Json<CreatedToken>)> {
    let mut checks = Checks::default();
    let name = checks.name("name", &form.name);
    let scope = checks.word("scope", form.scope.as_deref(), TokenScope::ALL, TokenScope::Operate);
    let days = checks.number("expiresInDays", form.expires_in_days, DAYS, DEFAULT_DAYS);
    checks.done()?;
    let scope = scope.unwrap_or(TokenScope::Read);

    let token = api_token();
    let hash = token_hash(token.expose_secret());
    let about = app
        .transaction(who.own(), async move |conn| {
            let new = NewApiToken {
                id: TokenId::generate(),
                user_id: who.user.id,
                name: &name,
                scope,
                token_hash: hash,
                expires_at: Some(Utc::now() + TimeDelta::days(days.into())),
            };
            let about = token::insert(conn, &new).await?;
            let entry = Entry::new("token.create", Target::Token(about.id)).owned_by(who.user.id);
            entry.detail(json!({ "name": about.name, "scope": scope, "days": days })).by(conn, &who, &context).await?;
            Ok(about)
        })
        .await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { about, token: Revealed(token) })))
}
