//! The first administrator: made once, by whoever can read the API's log.

use diesel::{dsl::exists, prelude::*};
use diesel_async::RunQueryDsl;

use super::{
    Conn, DbError,
    schema::{setup_tokens, users},
};

/// Whether there is nobody yet.
pub async fn is_required(conn: &mut Conn) -> Result<bool, DbError> {
    let somebody: bool = diesel::select(exists(users::table.select(users::id))).get_result(conn).await?;
    Ok(!somebody)
}

/// Lets a token make the first administrator. Those that earlier starts have written to a log stay good; none outlives
/// the first account.
pub async fn allow(conn: &mut Conn, token_hash: &[u8]) -> Result<(), DbError> {
    diesel::insert_into(setup_tokens::table).values(setup_tokens::token_hash.eq(token_hash)).execute(conn).await?;
    Ok(())
}

/// In a transaction that adds the first person: whether nobody is there and the token is one of those. Whoever else
/// adds somebody waits until the transaction ends.
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

/// No token is good any more.
pub async fn forget(conn: &mut Conn) -> Result<(), DbError> {
    diesel::delete(setup_tokens::table).execute(conn).await?;
    Ok(())
}
