//! Terminals: the worker that holds each, who may attach, and how it ended.
//!
//! Any process can end a terminal by recording that in its row. The worker that holds it checks the row twice a second,
//! and also sees there who was suspended or signed out or has lost the instance.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Int4, Int8, Nullable, Text, Timestamptz, Uuid},
};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, schema::terminals, worker::DEAD_AFTER_SECONDS};
use crate::{
    ids::{InstanceId, SessionId, TerminalId, TokenId, UserId},
    rpc::terminal::{TerminalCommand, TerminalEnd},
};

/// A terminal that is open.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = terminals, check_for_backend(diesel::pg::Pg))]
pub struct Terminal {
    pub id: TerminalId,
    pub user_id: UserId,
    pub instance_id: InstanceId,
    /// The worker that holds it.
    pub worker: String,
    pub command: Option<TerminalCommand>,
    pub started_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = terminals)]
pub struct NewTerminal<'a> {
    pub id: TerminalId,
    pub user_id: UserId,
    /// The credential that opened it: a session, a token, or the expiry of an external one.
    pub token_id: Option<TokenId>,
    pub session_id: Option<SessionId>,
    pub good_until: Option<DateTime<Utc>>,
    pub instance_id: &'a InstanceId,
    pub worker: &'a str,
    pub command: Option<TerminalCommand>,
}

/// How a terminal ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub reason: TerminalEnd,
    pub exit_code: Option<i64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

pub async fn insert(conn: &mut Conn, terminal: &NewTerminal<'_>) -> Result<(), DbError> {
    diesel::insert_into(terminals::table).values(terminal).execute(conn).await?;
    Ok(())
}

/// Counts the open terminals of a person and those in an instance.
pub async fn count_open(conn: &mut Conn, user: UserId, instance: &InstanceId) -> Result<(i64, i64), DbError> {
    let of_user = terminals::table.filter(terminals::ended_at.is_null().and(terminals::user_id.eq(user)));
    let in_instance = terminals::table.filter(terminals::ended_at.is_null().and(terminals::instance_id.eq(instance)));
    Ok((of_user.count().get_result(conn).await?, in_instance.count().get_result(conn).await?))
}

/// Records that another worker holds it.
pub async fn set_worker(conn: &mut Conn, id: TerminalId, worker: &str) -> Result<(), DbError> {
    diesel::update(terminals::table.find(id)).set(terminals::worker.eq(worker)).execute(conn).await?;
    Ok(())
}

/// Deletes a terminal that was never opened.
pub async fn forget(conn: &mut Conn, id: TerminalId) -> Result<(), DbError> {
    diesel::delete(terminals::table.find(id)).execute(conn).await?;
    Ok(())
}

/// An open terminal of this person.
pub async fn find_open(conn: &mut Conn, user: UserId, id: TerminalId) -> Result<Option<Terminal>, DbError> {
    Ok(terminals::table
        .find(id)
        .filter(terminals::user_id.eq(user).and(terminals::ended_at.is_null()))
        .select(Terminal::as_select())
        .first(conn)
        .await
        .optional()?)
}

/// Open terminals of this person in an instance, oldest first.
pub async fn list_open(conn: &mut Conn, user: UserId, instance: &InstanceId) -> Result<Vec<Terminal>, DbError> {
    Ok(terminals::table
        .filter(terminals::user_id.eq(user).and(terminals::instance_id.eq(instance)))
        .filter(terminals::ended_at.is_null())
        .order(terminals::id)
        .limit(100)
        // A program that only a newer version knows must not hide the others.
        .filter(terminals::command.is_null().or(terminals::command.eq_any(TerminalCommand::ALL)))
        .select(Terminal::as_select())
        .load(conn)
        .await?)
}

/// Gives an open terminal a new ticket, valid for half a minute, and voids the earlier one. False: it is not open.
pub async fn set_ticket(conn: &mut Conn, id: TerminalId, ticket_hash: &[u8]) -> Result<bool, DbError> {
    let until = diesel::dsl::sql::<Nullable<Timestamptz>>("now() + interval '30 seconds'");
    let open = terminals::table.find(id).filter(terminals::ended_at.is_null());
    let given = diesel::update(open)
        .set((terminals::ticket_hash.eq(ticket_hash), terminals::ticket_expires_at.eq(until)))
        .execute(conn)
        .await?;
    Ok(given > 0)
}

/// Extends a terminal that ends with a token of the identity provider to the expiry of a later one that its owner has
/// presented.
pub async fn prolong(conn: &mut Conn, id: TerminalId, good_until: DateTime<Utc>) -> Result<(), DbError> {
    let earlier = terminals::table.find(id).filter(terminals::good_until.lt(good_until));
    diesel::update(earlier).set(terminals::good_until.eq(good_until)).execute(conn).await?;
    Ok(())
}

/// Uses up a ticket. `None`: it is not the terminal's, was used, or has expired.
pub async fn take_ticket(conn: &mut Conn, id: TerminalId, ticket_hash: &[u8]) -> Result<Option<Terminal>, DbError> {
    let good = terminals::table
        .find(id)
        .filter(terminals::ticket_hash.eq(ticket_hash))
        .filter(terminals::ticket_expires_at.gt(diesel::dsl::now))
        .filter(terminals::ended_at.is_null());
    Ok(diesel::update(good)
        .set((terminals::ticket_hash.eq(None::<Vec<u8>>), terminals::ticket_expires_at.eq(None::<DateTime<Utc>>)))
        .returning(Terminal::as_returning())
        .get_result(conn)
        .await
        .optional()?)
}

/// Whether it is open.
pub async fn is_open(conn: &mut Conn, id: TerminalId) -> Result<bool, DbError> {
    let open = terminals::table.find(id).filter(terminals::ended_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(open)).get_result(conn).await?)
}

/// Asks for the end of a terminal. The worker that holds it ends it within a second.
pub async fn close(conn: &mut Conn, id: TerminalId, reason: TerminalEnd) -> Result<usize, DbError> {
    let open = terminals::table.find(id).filter(terminals::ended_at.is_null());
    Ok(diesel::update(open).set(terminals::close_reason.eq(reason)).execute(conn).await?)
}

/// Asks for the end of all terminals in an instance and returns how many are open.
pub async fn close_all_in(conn: &mut Conn, instance: &InstanceId, reason: TerminalEnd) -> Result<usize, DbError> {
    let open = terminals::table.filter(terminals::ended_at.is_null().and(terminals::instance_id.eq(instance)));
    Ok(diesel::update(open).set(terminals::close_reason.eq(reason)).execute(conn).await?)
}

/// How many terminals in an instance are open and held by a living worker.
pub async fn count_living(conn: &mut Conn, instance: &InstanceId) -> Result<i64, DbError> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = Int8)]
        count: i64,
    }
    let sql = format!(
        "SELECT count(*) AS count FROM terminals t JOIN workers w ON w.id = t.worker \
         WHERE t.instance_id = $1 AND t.ended_at IS NULL AND w.heartbeat_at > now() - interval '{DEAD_AFTER_SECONDS} seconds'"
    );
    let found: Count = diesel::sql_query(sql).bind::<Text, _>(instance.as_str()).get_result(conn).await?;
    Ok(found.count)
}

#[derive(Debug, QueryableByName)]
struct Held {
    #[diesel(sql_type = Uuid)]
    id: TerminalId,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<TerminalEnd>,
}

/// The open terminals of a worker, each with the reason why it must end, if any.
pub async fn held(conn: &mut Conn, worker: &str) -> Result<Vec<(TerminalId, Option<TerminalEnd>)>, DbError> {
    let found: Vec<Held> = diesel::sql_query(
        "SELECT t.id, CASE \
           WHEN t.close_reason IS NOT NULL THEN t.close_reason \
           WHEN u.suspended_at IS NOT NULL OR i.owner_id IS DISTINCT FROM t.user_id THEN 'revoked' \
           WHEN t.token_id IS NOT NULL AND NOT EXISTS (SELECT FROM api_tokens a WHERE a.id = t.token_id \
             AND a.revoked_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > now())) THEN 'signed_out' \
           WHEN t.session_id IS NOT NULL AND NOT EXISTS (SELECT FROM sessions s WHERE s.id = t.session_id \
             AND s.expires_at > now()) THEN 'signed_out' \
           WHEN t.good_until <= now() THEN 'signed_out' \
         END AS reason \
         FROM terminals t JOIN users u ON u.id = t.user_id LEFT JOIN instances i ON i.id = t.instance_id \
         WHERE t.worker = $1 AND t.ended_at IS NULL",
    )
    .bind::<Text, _>(worker)
    .load(conn)
    .await?;
    Ok(found.into_iter().map(|row| (row.id, row.reason)).collect())
}

/// Those of these terminals that are open.
pub async fn open_among(conn: &mut Conn, ids: &[TerminalId]) -> Result<Vec<TerminalId>, DbError> {
    Ok(terminals::table
        .filter(terminals::id.eq_any(ids).and(terminals::ended_at.is_null()))
        .select(terminals::id)
        .load(conn)
        .await?)
}

/// Writes the audit entries for the terminals that the query `ended` has just ended.
const TELL: &str = "INSERT INTO audit (actor_id, actor, action, target_kind, target_id, owner_id, detail) \
    SELECT e.user_id, u.email, 'terminal.end', 'instance', e.instance_id, e.user_id, jsonb_build_object( \
      'terminalId', e.id, 'reason', e.end_reason, 'exitCode', e.exit_code, 'bytesIn', e.bytes_in, 'bytesOut', e.bytes_out, \
      'seconds', round(extract(epoch FROM e.ended_at - e.started_at))::bigint) \
    FROM ended e JOIN users u ON u.id = e.user_id";

/// Records how a terminal ended, in its row and in the audit log, once.
pub async fn end(conn: &mut Conn, id: TerminalId, ended: Ended) -> Result<bool, DbError> {
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let told = diesel::sql_query(format!(
        "WITH ended AS (UPDATE terminals SET ended_at = now(), end_reason = $2, exit_code = $3, bytes_in = $4, bytes_out = $5, \
           ticket_hash = NULL, ticket_expires_at = NULL WHERE id = $1 AND ended_at IS NULL RETURNING *) {TELL}"
    ))
    .bind::<Uuid, _>(id)
    .bind::<Text, _>(ended.reason)
    .bind::<Nullable<Int4>, _>(ended.exit_code.and_then(|code| i32::try_from(code).ok()))
    .bind::<Int8, _>(bytes(ended.bytes_in))
    .bind::<Int8, _>(bytes(ended.bytes_out))
    .execute(conn)
    .await?;
    Ok(told > 0)
}

/// Ends terminals whose worker is gone and returns their instances.
pub async fn end_lost(conn: &mut Conn) -> Result<Vec<InstanceId>, DbError> {
    #[derive(QueryableByName)]
    struct Lost {
        #[diesel(sql_type = Text)]
        target_id: InstanceId,
    }
    let lost: Vec<Lost> = diesel::sql_query(format!(
        "WITH ended AS (UPDATE terminals t SET ended_at = now(), end_reason = 'lost', ticket_hash = NULL, ticket_expires_at = NULL \
           WHERE t.ended_at IS NULL AND NOT EXISTS (SELECT FROM workers w WHERE w.id = t.worker \
             AND w.heartbeat_at > now() - interval '{DEAD_AFTER_SECONDS} seconds') \
           RETURNING t.*) {TELL} RETURNING target_id"
    ))
    .load(conn)
    .await?;
    Ok(lost.into_iter().map(|row| row.target_id).collect())
}

/// Ends terminals that a worker should hold but does not.
pub async fn end_forgotten(conn: &mut Conn, worker: &str, ids: &[TerminalId]) -> Result<usize, DbError> {
    Ok(diesel::sql_query(format!(
        "WITH ended AS (UPDATE terminals SET ended_at = now(), end_reason = 'lost', ticket_hash = NULL, ticket_expires_at = NULL \
           WHERE worker = $1 AND id = ANY($2) AND ended_at IS NULL AND started_at < now() - interval '1 minute' RETURNING *) {TELL}"
    ))
    .bind::<Text, _>(worker)
    .bind::<Array<Uuid>, _>(ids)
    .execute(conn)
    .await?)
}

/// Deletes terminals that ended a month ago, in batches.
pub async fn forget_old(conn: &mut Conn) -> Result<usize, DbError> {
    Ok(diesel::sql_query(
        "DELETE FROM terminals WHERE id IN (SELECT id FROM terminals WHERE ended_at < now() - interval '30 days' LIMIT 500)",
    )
    .execute(conn)
    .await?)
}
