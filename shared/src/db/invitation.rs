//! Invitations. The bearer of the token sets the person's password, once.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types::Timestamptz,
};
use diesel_async::RunQueryDsl;

use super::{
    Conn, DbError,
    schema::{invitations, users},
    user::User,
};
use crate::ids::UserId;

/// How long an invitation is valid.
const LIFETIME: &str = "now() + interval '24 hours'";

/// Invites a person and voids earlier invitations. Returns when it expires.
pub async fn make(conn: &mut Conn, user: UserId, token_hash: &[u8]) -> Result<DateTime<Utc>, DbError> {
    let values = || {
        (
            invitations::token_hash.eq(token_hash),
            invitations::created_at.eq(now),
            invitations::expires_at.eq(sql::<Timestamptz>(LIFETIME)),
        )
    };
    Ok(diesel::insert_into(invitations::table)
        .values((invitations::user_id.eq(user), values()))
        .on_conflict(invitations::user_id)
        .do_update()
        .set(values())
        .returning(invitations::expires_at)
        .get_result(conn)
        .await?)
}

/// The person invited by this token, if it is valid. Locks the person's row until the transaction ends.
pub async fn find(conn: &mut Conn, token_hash: &[u8]) -> Result<Option<User>, DbError> {
    let invited = invitations::table
        .filter(invitations::token_hash.eq(token_hash))
        .filter(invitations::expires_at.gt(now))
        .select(invitations::user_id)
        .first::<UserId>(conn)
        .await
        .optional()?;
    let Some(id) = invited else { return Ok(None) };
    let user = users::table.find(id).filter(users::suspended_at.is_null()).for_no_key_update();
    Ok(user.select(User::as_select()).first(conn).await.optional()?)
}

/// Uses up a person's invitation. False: another request was faster.
pub async fn take(conn: &mut Conn, user: UserId, token_hash: &[u8]) -> Result<bool, DbError> {
    let target = invitations::table.find(user).filter(invitations::token_hash.eq(token_hash));
    Ok(diesel::delete(target).execute(conn).await? > 0)
}

/// Voids a person's invitation.
pub async fn forget(conn: &mut Conn, user: UserId) -> Result<(), DbError> {
    diesel::delete(invitations::table.find(user)).execute(conn).await?;
    Ok(())
}
