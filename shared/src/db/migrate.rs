//! Runs the migrations, one process at a time.
//!
//! A migration that waits for a lock on a table blocks everybody who wants that table after it. So it waits a few
//! seconds, then lets the others pass and tries again, a limited number of times. The error then names the session that
//! holds the lock.

use std::time::Duration;

use diesel::{QueryableByName, migration::Migration as _, sql_types};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl as _, SimpleAsyncConnection as _};
use diesel_migrations::MigrationHarness as _;
use tokio::time::{Instant, sleep, timeout};

use self::holder::HolderWatch;
use super::{CONNECT_TIMEOUT, Conn, Db, DbError, MIGRATIONS, TENANT_RIGHTS, pooler};

mod holder;
#[cfg(test)]
mod lint;

/// An arbitrary number, the same in every process: one migrates while the others wait.
const MIGRATION_LOCK: i64 = 0x636c_6177;

/// How long to wait for another process that migrates. Validating a constraint of a large table takes minutes.
const TURN_LIMIT: Duration = Duration::from_mins(10);

/// Messages of Postgres when a lock could not be had (55P03, 40P01). Diesel has no error kind for them and passes on
/// only the text.
const LOCKED: [&str; 2] = ["canceling statement due to lock timeout", "deadlock detected"];

/// How a migration waits for the locks of other sessions.
#[derive(Debug, Clone, Copy)]
pub struct LockPatience {
    /// How long one try waits for a lock. All others who want the table wait as long.
    pub limit: Duration,
    /// How often it is tried.
    pub tries: u32,
    /// Delay between two tries.
    pub pause: Duration,
}

impl Default for LockPatience {
    fn default() -> Self {
        Self { limit: Duration::from_secs(5), tries: 6, pause: Duration::from_secs(2) }
    }
}

impl Db {
    /// Migrates the schema and the rights of the tenant role, one process at a time.
    ///
    /// Needs the multi-threaded runtime, because diesel's migrations block their thread.
    pub async fn migrate(&self) -> Result<(), DbError> {
        self.migrate_with(LockPatience::default()).await
    }

    /// As [`Self::migrate`], with other limits.
    pub async fn migrate_with(&self, patience: LockPatience) -> Result<(), DbError> {
        pooler::refuse_shared_sessions(&self.target).await?;
        // A connection of its own, because a migration may exceed the pool's statement timeout.
        let connected = timeout(CONNECT_TIMEOUT, self.target.connect()).await;
        let mut conn = connected.map_err(|_| DbError::Timeout)?.map_err(DbError::from)?;
        take_turn(&mut conn).await?;
        conn.batch_execute(&format!("SET lock_timeout = {}", patience.limit.as_millis())).await?;
        let holder = HolderWatch::start(&self.target, &mut conn, patience.limit / 10).await?;
        // Of a process that was killed.
        drop_half_built_indexes(&mut conn).await?;
        conn = run_pending(conn, patience, &holder).await?;
        conn.batch_execute(TENANT_RIGHTS).await?;
        // Closing the connection releases the lock.
        Ok(())
    }

    /// Like [`Self::migrate`], but waits up to `patience` for Postgres to come up.
    pub async fn migrate_when_up(&self, patience: Duration) -> Result<(), DbError> {
        let began = Instant::now();
        loop {
            match self.migrate().await {
                Err(error @ (DbError::Unreachable(_) | DbError::Timeout)) if began.elapsed() < patience => {
                    tracing::warn!(error = crate::telemetry::chain(&error), "Postgres is not up yet; waiting for it");
                    sleep(Duration::from_secs(1)).await;
                }
                done => return done,
            }
        }
    }
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = sql_types::Bool)]
    yes: bool,
}

/// Waits until no other process migrates.
///
/// Asks again and again rather than waiting in a statement: an index that is built concurrently waits for all open
/// statements, so the two processes would wait for each other.
async fn take_turn(conn: &mut Conn) -> Result<(), DbError> {
    let began = Instant::now();
    loop {
        let answer: Answer = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS yes")
            .bind::<sql_types::BigInt, _>(MIGRATION_LOCK)
            .get_result(conn)
            .await?;
        if answer.yes {
            return Ok(());
        }
        if began.elapsed() > TURN_LIMIT {
            let minutes = TURN_LIMIT.as_secs() / 60;
            return Err(DbError::MigrationBlocked(format!(
                "Another process has been migrating this database for {minutes} minutes. Look for it in \
                 pg_stat_activity; it holds an advisory lock in pg_locks"
            )));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Runs the pending migrations, each again if it could not get its locks.
async fn run_pending(mut conn: Conn, patience: LockPatience, holder: &HolderWatch) -> Result<Conn, DbError> {
    let mut tries = 0;
    loop {
        let mut harness = AsyncMigrationHarness::new(conn);
        let ran = run_next(&mut harness);
        conn = harness.into_inner();
        let (migration, error) = match ran.map_err(DbError::Migration)? {
            None => return Ok(conn),
            Some(Ran { migration, result: Ok(()) }) => {
                tracing::info!(migration, "Migrated the database");
                tries = 0;
                continue;
            }
            Some(Ran { migration, result: Err(error) }) => (migration, error),
        };
        if !LOCKED.iter().any(|text| crate::telemetry::chain(&*error).contains(text)) {
            return Err(DbError::Migration(error));
        }
        tries += 1;
        let blocked = holder.describe(&migration, patience, tries);
        // A migration with transactions of its own leaves one open.
        conn.batch_execute("ROLLBACK").await?;
        drop_half_built_indexes(&mut conn).await?;
        if tries >= patience.tries {
            return Err(DbError::MigrationBlocked(blocked));
        }
        tracing::warn!(migration, "{blocked}. Trying again");
        sleep(patience.pause).await;
    }
}

type MigrationError = Box<dyn std::error::Error + Send + Sync>;

/// A try to run a migration.
struct Ran {
    migration: String,
    result: Result<(), MigrationError>,
}

/// Runs the first pending migration. `None`: there is none.
fn run_next(harness: &mut AsyncMigrationHarness<Conn>) -> Result<Option<Ran>, MigrationError> {
    let pending = harness.pending_migrations(MIGRATIONS)?;
    let Some(next) = pending.into_iter().next() else { return Ok(None) };
    let result = harness.run_migration(&*next).map(drop);
    Ok(Some(Ran { migration: next.name().to_string(), result }))
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = sql_types::Text)]
    name: String,
}

/// Drops indexes whose concurrent creation was interrupted: they slow down writes, serve no query, and are in the way
/// of the next try. Leaves those alone that a session is building right now.
async fn drop_half_built_indexes(conn: &mut Conn) -> Result<(), DbError> {
    let left: Vec<Name> = diesel::sql_query(
        "SELECT i.indexrelid::regclass::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
         WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace \
           AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)",
    )
    .load(conn)
    .await?;
    for Name { name } in left {
        tracing::warn!(index = name, "Dropping an index whose creation was interrupted");
        // Quoted by Postgres where needed.
        conn.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
    }
    Ok(())
}
