//! Sessions of browsers. The table holds only the hash of the cookie.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{now, sql},
    prelude::*,
    sql_types::Bool,
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Conn, DbError,
    schema::{sessions, users},
    user::User,
};
use crate::ids::{SessionId, UserId};

/// A session ends when unused for this long.
const IDLE: &str = "interval '24 hours'";

/// A browser that is signed in, as its owner sees it.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub id: SessionId,
    /// What the browser calls itself.
    pub user_agent: String,
    /// Address of its last request.
    pub client_ip: Option<String>,
    pub created_at: DateTime<Utc>,
    /// Its last request, to the minute.
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = sessions)]
pub struct NewSession<'a> {
    pub id: SessionId,
    pub user_id: UserId,
    pub token_hash: Vec<u8>,
    pub user_agent: &'a str,
    pub client_ip: Option<&'a str>,
    pub expires_at: DateTime<Utc>,
}

/// The condition for a valid session.
fn alive() -> diesel::expression::SqlLiteral<Bool> {
    sql(&is_alive())
}

/// The same in SQL.
pub(super) fn is_alive() -> String {
    format!("(sessions.expires_at > now() AND sessions.last_seen_at > now() - {IDLE})")
}

pub async fn insert(conn: &mut Conn, session: &NewSession<'_>) -> Result<(), DbError> {
    diesel::insert_into(sessions::table).values(session).execute(conn).await?;
    Ok(())
}

/// The person of this session, if it is valid. Records time and address of its use at most once a minute.
pub async fn authenticate(
    conn: &mut Conn,
    token_hash: &[u8],
    client_ip: Option<&str>,
) -> Result<Option<(SessionId, User)>, DbError> {
    let found: Option<(SessionId, bool, User)> = sessions::table
        .inner_join(users::table)
        .filter(sessions::token_hash.eq(token_hash))
        .filter(alive())
        .filter(users::suspended_at.is_null())
        .select((sessions::id, sql::<Bool>("last_seen_at < now() - interval '1 minute'"), User::as_select()))
        .first(conn)
        .await
        .optional()?;
    let Some((id, note_use, user)) = found else { return Ok(None) };
    if note_use {
        let seen = (sessions::last_seen_at.eq(now), sessions::client_ip.eq(client_ip));
        diesel::update(sessions::table.find(id)).set(seen).execute(conn).await?;
    }
    Ok(Some((id, user)))
}

/// The valid sessions of a person, the last used first.
pub async fn list(conn: &mut Conn, owner: UserId) -> Result<Vec<Session>, DbError> {
    Ok(sessions::table
        .filter(sessions::user_id.eq(owner))
        .filter(alive())
        .order((sessions::last_seen_at.desc(), sessions::id.desc()))
        .limit(500)
        .select(Session::as_select())
        .load(conn)
        .await?)
}

/// Ends a session of this person. False: there is no such valid session.
pub async fn end(conn: &mut Conn, owner: UserId, id: SessionId) -> Result<bool, DbError> {
    let target = sessions::table.find(id).filter(sessions::user_id.eq(owner)).filter(alive());
    Ok(diesel::delete(target).execute(conn).await? > 0)
}

/// Ends the session with this hash.
pub async fn end_by_hash(conn: &mut Conn, token_hash: &[u8]) -> Result<(), DbError> {
    diesel::delete(sessions::table.filter(sessions::token_hash.eq(token_hash))).execute(conn).await?;
    Ok(())
}

/// Ends all sessions of a person but one.
pub async fn end_all(conn: &mut Conn, owner: UserId, but: Option<SessionId>) -> Result<usize, DbError> {
    let but = but.map_or(uuid::Uuid::nil(), |id| id.0);
    let target = sessions::table.filter(sessions::user_id.eq(owner).and(sessions::id.ne(SessionId(but))));
    Ok(diesel::delete(target).execute(conn).await?)
}

/// Deletes at most a hundred expired sessions, so that no request waits long. Skips rows that another request is
/// deleting.
pub async fn forget_expired(conn: &mut Conn) -> Result<usize, DbError> {
    let query = format!(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
         WHERE expires_at < now() OR last_seen_at < now() - {IDLE} LIMIT 100 FOR UPDATE SKIP LOCKED)"
    );
    Ok(diesel::sql_query(query).execute(conn).await?)
}
