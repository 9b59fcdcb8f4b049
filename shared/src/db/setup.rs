//! The first administrator. The operator, who can read the API's log, creates it once with a token from there.

use diesel::{dsl::exists, prelude::*};
use diesel_async::RunQueryDsl;

use super::{
    Conn, DbError,
    schema::{setup_tokens, users},
};

/// Whether there are no users yet.
pub async fn is_required(conn: &mut Conn) -> Result<bool, DbError> {
    let somebody: bool = diesel::select(exists(users::table.select(users::id))).get_result(conn).await?;
    Ok(!somebody)
}

/// Adds a token that can create the first administrator. Tokens from earlier starts stay valid until the first account
/// exists.
pub async fn allow(conn: &mut Conn, token_hash: &[u8]) -> Result<(), DbError> {
    diesel::insert_into(setup_tokens::table).values(setup_tokens::token_hash.eq(token_hash)).execute(conn).await?;
    Ok(())
}

/// Call it in the transaction that adds the first person: whether there are no users and the token is valid. Other
/// inserts of users wait until the transaction ends.
pub async fn take(conn: &mut Conn, token_hash: &[u8]) -> Result<bool, DbError> {
    diesel::sql_query("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").execute(conn).await?;
    if !is_required(conn).await? {
        return Ok(false);
    }
    let known = diesel::delete(setup_tokens::table.find(token_hash)).execute(conn).await? > 0;
    if known {
        forget(conn).await?;
    }
    Ok(known)
}

/// Voids all tokens.
pub async fn forget(conn: &mut Conn) -> Result<(), DbError> {
    diesel::delete(setup_tokens::table).execute(conn).await?;
    Ok(())
}
