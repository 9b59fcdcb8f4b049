//! Poolers between us and Postgres.
//!
//! A pooler that lends a session of Postgres for one transaction only (`pool_mode=transaction` of `PgBouncer`) breaks what we
//! need sessions for:
//!
//! - locks that last longer than a transaction: the one under which a process migrates, and the reconciler's turn
//!   ([`super::sweep::ReconcilerLock`]). They would belong to whoever has the session next;
//! - time limits (`statement_timeout`, `idle_in_transaction_session_timeout`, the turn's `idle_session_timeout`), which are set
//!   once for each connection;
//! - prepared statements, which are kept for each connection (`PgBouncer` follows them since 1.21, with
//!   `max_prepared_statements`).
//!
//! So both programs look at their start, and refuse. A pooler that lends a session for as long as the connection lasts
//! (`pool_mode=session`) is as good as none. Role and name of whoever asks are no reason any more: they end with each
//! transaction ([`super::scope`]).

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{CONNECT_TIMEOUT, DbError, connection::Target};

const REFUSAL: &str = "CLAWDEPLOY_DATABASE_URL leads through a pooler that lends sessions of Postgres for single transactions \
    (pool_mode=transaction or statement). Locks of migrations and of the reconciler, time limits and prepared statements need a \
    session of their own. Set pool_mode=session there, or name Postgres itself";

/// How long one question may take. A pooler of one session lets the second connection wait.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Which process of Postgres serves a connection just now.
async fn backend(client: &Client) -> Result<i64, DbError> {
    let answer = ask(client, "SELECT pg_backend_pid()").await?;
    let pid = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    pid.ok_or_else(|| DbError::Settings("Postgres does not say which of its processes answers".to_owned()))
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
/// Of two connections one is in a transaction, and so has a session for itself, while the other one asks for its own: with
/// sessions of their own both always see the same process of Postgres, each another one.
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
