//! API tokens. The table holds only their hash.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Conn, DbError,
    schema::{api_tokens, users},
    user::User,
};
use crate::{
    ids::{TokenId, UserId},
    text_enum,
};

text_enum!(
    /// Scope of a token.
    TokenScope {
        /// Read only.
        Read = "read",
        /// Also changes its owner's instances.
        Operate = "operate",
        /// Everything that its owner may do: manage the account, and the platform if the owner is an administrator.
        Admin = "admin",
    }
);

/// The kind of tokens that their owner made. Before there were sessions, signing in made tokens of another kind, which
/// are no longer valid.
const PERSONAL: &str = "personal";

/// The condition for a token that was neither revoked nor has expired, in SQL.
pub(super) const IS_ALIVE: &str =
    "(api_tokens.revoked_at IS NULL AND (api_tokens.expires_at IS NULL OR api_tokens.expires_at > now()))";

/// A token, as its owner sees it.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = api_tokens, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    pub scope: TokenScope,
    pub last_used_at: Option<DateTime<Utc>>,
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = api_tokens)]
pub struct NewApiToken<'a> {
    pub id: TokenId,
    pub user_id: UserId,
    pub name: &'a str,
    pub scope: TokenScope,
    pub token_hash: Vec<u8>,
    pub expires_at: Option<DateTime<Utc>>,
}

pub async fn insert(conn: &mut Conn, token: &NewApiToken<'_>) -> Result<ApiToken, DbError> {
    Ok(diesel::insert_into(api_tokens::table)
        .values(token)
        .returning(ApiToken::as_returning())
        .get_result(conn)
        .await?)
}

/// The valid tokens of a person, newest first.
pub async fn list(conn: &mut Conn, owner: UserId) -> Result<Vec<ApiToken>, DbError> {
    Ok(api_tokens::table
        .filter(api_tokens::user_id.eq(owner))
        .filter(api_tokens::kind.eq(PERSONAL))
        .filter(api_tokens::revoked_at.is_null())
        .filter(api_tokens::expires_at.is_null().or(api_tokens::expires_at.gt(now)))
        // A scope that only a newer version knows gives no rights here.
        .filter(api_tokens::scope.eq_any(TokenScope::ALL))
        .order(api_tokens::id.desc())
        .limit(500)
        .select(ApiToken::as_select())
        .load(conn)
        .await?)
}

/// Revokes a token of this person. False: there is no such valid token.
pub async fn revoke(conn: &mut Conn, owner: UserId, id: TokenId) -> Result<bool, DbError> {
    let target =
        api_tokens::table.find(id).filter(api_tokens::user_id.eq(owner)).filter(api_tokens::revoked_at.is_null());
    Ok(diesel::update(target).set(api_tokens::revoked_at.eq(now)).execute(conn).await? > 0)
}

/// The person of this token, if it is valid. Records its use at most once a minute.
pub async fn authenticate(conn: &mut Conn, token_hash: &[u8]) -> Result<Option<(TokenId, TokenScope, User)>, DbError> {
    let found: Option<(TokenId, TokenScope, bool, User)> = api_tokens::table
        .inner_join(users::table)
        .filter(api_tokens::token_hash.eq(token_hash))
        .filter(api_tokens::kind.eq(PERSONAL))
        .filter(api_tokens::revoked_at.is_null())
        .filter(api_tokens::expires_at.is_null().or(api_tokens::expires_at.gt(now)))
        .filter(users::suspended_at.is_null())
        .select((
            api_tokens::id,
            api_tokens::scope,
            diesel::dsl::sql::<diesel::sql_types::Bool>(
                "last_used_at IS NULL OR last_used_at < now() - interval '1 minute'",
            ),
            User::as_select(),
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((id, scope, note_use, user)) = found else { return Ok(None) };
    if note_use {
        diesel::update(api_tokens::table.find(id)).set(api_tokens::last_used_at.eq(now)).execute(conn).await?;
    }
    Ok(Some((id, scope, user)))
}
