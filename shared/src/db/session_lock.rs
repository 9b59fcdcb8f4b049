//! A lock that one process at a time holds, for as long as its connection lives.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Int8, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _, pooled_connection::deadpool::Object};
use scopeguard::ScopeGuard;

use super::{Db, DbError};

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

#[derive(QueryableByName)]
struct At {
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

/// What only one process at a time may do. The numbers are arbitrary, the same in every program, and different from the
/// migrations'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusive {
    /// A pass of the reconciler.
    Reconciler = 0x636c_6178,
    /// Deleting old rows.
    Retention = 0x636c_6179,
}

/// An advisory lock of Postgres.
///
/// It belongs to a connection that never returns to the pool, so it ends when this value is dropped. A process that
/// stops without dying (SIGSTOP, a hung machine) loses it after its connection was idle for a minute.
pub struct SessionLock {
    conn: AsyncPgConnection,
    of: Exclusive,
}

impl std::fmt::Debug for SessionLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionLock").field("of", &self.of).finish_non_exhaustive()
    }
}

impl SessionLock {
    /// Takes the lock. `None`: another process holds it.
    ///
    /// Workers ask every second while a pass is due, so a refusal must cost nothing: the connection leaves the pool
    /// only with the lock.
    pub async fn take(db: &Db, of: Exclusive) -> Result<Option<Self>, DbError> {
        // Unless the answer is no, even if it never arrives: a connection that may hold the lock must not return to the
        // pool.
        let mut conn = scopeguard::guard(db.conn().await?, |conn| drop(Object::take(conn)));
        let answer: Answer = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS yes")
            .bind::<Int8, _>(of as i64)
            .get_result(&mut **conn)
            .await?;
        let pooled = ScopeGuard::into_inner(conn);
        if !answer.yes {
            return Ok(None);
        }
        let mut conn = Object::take(pooled);
        // Looked up by name first, because Postgres 13 does not have it.
        conn.batch_execute(
            "SELECT set_config(name, '60s', false) FROM pg_settings WHERE name = 'idle_session_timeout'",
        )
        .await?;
        Ok(Some(Self { conn, of }))
    }

    /// The database's clock. Fails if the lock is lost.
    pub async fn clock(&mut self) -> Result<DateTime<Utc>, DbError> {
        let now: At = diesel::sql_query("SELECT clock_timestamp() AS at").get_result(&mut self.conn).await?;
        Ok(now.at)
    }

    /// Releases the lock at once. Dropping it takes a moment longer.
    pub async fn end(mut self) {
        let unlock = format!("SELECT pg_advisory_unlock({})", self.of as i64);
        if let Err(error) = self.conn.batch_execute(&unlock).await {
            tracing::debug!(%error, of = ?self.of, "A lock was already gone");
        }
    }
}
