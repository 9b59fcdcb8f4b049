//! The second factor: the sealed secret of an authenticator app, and hashed recovery codes.

use diesel::{dsl::now, prelude::*};
use diesel_async::RunQueryDsl;

use super::{
    Conn, DbError,
    schema::{recovery_codes, users},
};
use crate::{ids::UserId, secret::SealContext};

/// The seal context of this person's secret. `row` is the person's id.
pub fn seal_context(row: &str) -> SealContext<'_> {
    SealContext { table: "users", column: "totp", row }
}

/// The sealed secret and whether it is confirmed.
pub async fn find(conn: &mut Conn, user: UserId) -> Result<Option<(String, bool)>, DbError> {
    let row = users::table.find(user).select((users::totp_sealed, users::totp_confirmed_at.is_not_null()));
    let (sealed, confirmed): (Option<String>, bool) = row.first(conn).await?;
    Ok(sealed.map(|sealed| (sealed, confirmed)))
}

/// Stores an unconfirmed secret. False: a confirmed one exists.
pub async fn prepare(conn: &mut Conn, user: UserId, sealed: &str) -> Result<bool, DbError> {
    let target = users::table.find(user).filter(users::totp_confirmed_at.is_null());
    Ok(diesel::update(target).set(users::totp_sealed.eq(sealed)).execute(conn).await? > 0)
}

/// Confirms the secret: signing in needs a code from now on. False: it already did, or the secret was replaced.
pub async fn confirm(
    conn: &mut Conn,
    user: UserId,
    sealed: &str,
    step: i64,
    codes: &[Vec<u8>],
) -> Result<bool, DbError> {
    let target =
        users::table.find(user).filter(users::totp_confirmed_at.is_null()).filter(users::totp_sealed.eq(sealed));
    let set = (users::totp_confirmed_at.eq(now), users::totp_last_step.eq(step));
    if diesel::update(target).set(set).execute(conn).await? == 0 {
        return Ok(false);
    }
    forget_codes(conn, user).await?;
    let rows: Vec<_> =
        codes.iter().map(|hash| (recovery_codes::user_id.eq(user), recovery_codes::code_hash.eq(hash))).collect();
    diesel::insert_into(recovery_codes::table).values(rows).execute(conn).await?;
    Ok(true)
}

/// Uses the code of a 30-second step. False: it or a later one was already used.
pub async fn use_step(conn: &mut Conn, user: UserId, step: i64) -> Result<bool, DbError> {
    let fresh = users::totp_last_step.is_null().or(users::totp_last_step.lt(step).assume_not_null());
    let target = users::table.find(user).filter(fresh);
    Ok(diesel::update(target).set(users::totp_last_step.eq(step)).execute(conn).await? > 0)
}

/// Uses up a recovery code. False: it does not exist or was used.
pub async fn use_recovery_code(conn: &mut Conn, user: UserId, code_hash: &[u8]) -> Result<bool, DbError> {
    Ok(diesel::delete(recovery_codes::table.find((user, code_hash))).execute(conn).await? > 0)
}

/// Removes the second factor. False: there was none.
pub async fn remove(conn: &mut Conn, user: UserId) -> Result<bool, DbError> {
    forget_codes(conn, user).await?;
    let target = users::table.find(user).filter(users::totp_sealed.is_not_null());
    let none = (
        users::totp_sealed.eq(None::<String>),
        users::totp_confirmed_at.eq(None::<chrono::DateTime<chrono::Utc>>),
        users::totp_last_step.eq(None::<i64>),
    );
    Ok(diesel::update(target).set(none).execute(conn).await? > 0)
}

async fn forget_codes(conn: &mut Conn, user: UserId) -> Result<(), DbError> {
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user))).execute(conn).await?;
    Ok(())
}
