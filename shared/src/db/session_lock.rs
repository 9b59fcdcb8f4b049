//! A lock that one process at a time holds, for as long as its connection lives.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Int8, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _, pooled_connection::deadpool::Object};

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

/// An advisory lock of Postgres.
///
/// It belongs to a connection that never returns to the pool, so it ends when this value is dropped. A process that
/// stops without dying (SIGSTOP, a hung machine) loses it after its connection was idle for a minute.
pub struct SessionLock {
    conn: AsyncPgConnection,
    key: i64,
}

impl std::fmt::Debug for SessionLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionLock").field("key", &self.key).finish_non_exhaustive()
    }
}

impl SessionLock {
    /// Takes the lock of this number. `None`: another process holds it.
    pub async fn take(db: &Db, key: i64) -> Result<Option<Self>, DbError> {
        let mut conn = Object::take(db.conn().await?);
        let answer: Answer = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS yes")
            .bind::<Int8, _>(key)
            .get_result(&mut conn)
            .await?;
        if !answer.yes {
            return Ok(None);
        }
        // Looked up by name first, because Postgres 13 does not have it.
        conn.batch_execute(
            "SELECT set_config(name, '60s', false) FROM pg_settings WHERE name = 'idle_session_timeout'",
        )
        .await?;
        Ok(Some(Self { conn, key }))
    }

    /// The database's clock. Fails if the lock is lost.
    pub async fn clock(&mut self) -> Result<DateTime<Utc>, DbError> {
        let now: At = diesel::sql_query("SELECT clock_timestamp() AS at").get_result(&mut self.conn).await?;
        Ok(now.at)
    }

    /// Releases the lock at once. Dropping it takes a moment longer.
    pub async fn end(mut self) {
        let unlock = format!("SELECT pg_advisory_unlock({})", self.key);
        if let Err(error) = self.conn.batch_execute(&unlock).await {
            tracing::debug!(%error, key = self.key, "A lock was already gone");
        }
    }
}
