//! Detects connection poolers in front of Postgres.
//!
//! A pooler that lends a Postgres session for a single transaction (`pool_mode=transaction` of `PgBouncer`) breaks what
//! we need sessions for:
//!
//! - locks that outlive a transaction: the migration lock and [`super::session_lock::SessionLock`]. They would belong to the session's next user;
//! - time limits (`statement_timeout`, `idle_in_transaction_session_timeout`, the reconciler's `idle_session_timeout`),
//!   which are set once for each connection;
//! - prepared statements, which are kept for each connection (`PgBouncer` follows them since 1.21, with
//!   `max_prepared_statements`).
//!
//! So both programs check at startup and refuse to run. A pooler that lends a session for the whole connection
//! (`pool_mode=session`) is fine. The role and name of the scope do not matter: they end with each transaction
//! ([`super::scope`]).

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{CONNECT_TIMEOUT, DbError, connection::Target};

const REFUSAL: &str = "CLAWDEPLOY_DATABASE_URL leads through a pooler that lends Postgres sessions for single \
                       transactions (pool_mode=transaction or statement). Migration and reconciler locks, time \
                       limits and prepared statements need a session of their own. Set pool_mode=session there, or \
                       connect to Postgres directly";

/// Time limit of one query. A pooler with a single session makes the second connection wait.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The process id of the Postgres backend that serves a connection right now.
async fn backend(client: &Client) -> Result<i64, DbError> {
    let answer = ask(client, "SELECT pg_backend_pid()").await?;
    let pid = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    pid.ok_or_else(|| DbError::Settings("Postgres did not report its backend's process id".to_owned()))
}

async fn ask(client: &Client, query: &str) -> Result<Vec<SimpleQueryMessage>, DbError> {
    let asked = tokio::time::timeout(ANSWER_LIMIT, client.simple_query(query)).await;
    asked.map_err(|_| DbError::Timeout)?.map_err(|error| match error.as_db_error() {
        Some(said) if said.message().contains("statement pooling mode") => DbError::Settings(REFUSAL.to_owned()),
        _ => DbError::Unreachable(error.into()),
    })
}

/// Refuses a pooler that does not give each connection a session of its own.
///
/// Opens a transaction on one connection, which pins a session, and queries the other. With sessions of their own, each
/// always sees the same backend, and not the other's.
pub(super) async fn refuse_shared_sessions(target: &Target) -> Result<(), DbError> {
    let connect = async || {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, target.connect_plainly()).await;
        connected.map_err(|_| DbError::Timeout)?.map_err(DbError::from)
    };
    let pair = [connect().await?, connect().await?];
    let own = [backend(&pair[0]).await?, backend(&pair[1]).await?];
    let mut same = own[0] != own[1];
    for (busy, idle) in [(0, 1), (1, 0)] {
        if !same {
            break;
        }
        ask(&pair[busy], "BEGIN").await?;
        same = backend(&pair[busy]).await? == own[busy] && backend(&pair[idle]).await? == own[idle];
        ask(&pair[busy], "ROLLBACK").await?;
    }
    if same { Ok(()) } else { Err(DbError::Settings(REFUSAL.to_owned())) }
}
