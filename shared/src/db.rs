//! Postgres: the truth. One file per table, each with its rows and its queries.
//!
//! - Queries that a person may cause start from a [`Scope`], which only an authenticated principal yields. What a person
//!   asks for as an owner is asked in a transaction that sees nothing else ([`Db::read`], [`Db::write`]): policies on the
//!   tables' rows say the same once more, so that a query that forgets its scope finds nothing.
//! - Times are compared on the database's clock only.
//! - A transaction never runs in a future that somebody else may drop (an HTTP handler is dropped when its client
//!   goes away): callers spawn it.

use std::{sync::Arc, time::Duration};

use deadpool::Runtime;
use diesel::result::DatabaseErrorKind;
use diesel_async::{
    AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use secrecy::ExposeSecret as _;

use self::connection::{ConnectError, Target, UrlError};
pub use self::scope::Scope;
use crate::config::DatabaseArgs;

pub mod audit;
pub mod boot;
pub mod connection;
pub mod disk;
pub mod firewall;
pub mod identity;
pub mod image;
pub mod installation;
pub mod instance;
pub mod invitation;
pub mod job;
pub mod job_event;
pub mod lease;
pub mod orphan_candidate;
pub mod overdue;
pub mod person;
mod pooler;
pub mod port;
pub mod queue_pause;
pub mod queue_stats;
pub mod recoverable;
pub mod reseal;
pub mod rollout;
pub mod route;
pub mod schema;
pub mod scope;
pub mod second_factor;
pub mod session;
pub mod setup;
pub mod snapshot;
pub mod stuck;
pub mod sweep;
pub mod terminal;
pub mod token;
pub mod usage;
pub mod user;
pub mod version_policy;
pub mod worker;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Any number; the same in every process, so that one migrates while the others wait.
const MIGRATION_LOCK: i64 = 0x636c_6177;

/// How long one statement may take in Postgres before it gives up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for a connection, a free one or a new one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a session says that is ended from outside (57P01), where it has the time to say something. Diesel passes on the
/// words only, and has no kind for it.
const LAST_WORDS: [&str; 2] =
    ["terminating connection due to administrator command", "terminating connection due to unexpected postmaster exit"];

/// How long the other side may leave what was sent to it unacknowledged. The kernel alone would wait for a quarter of an
/// hour, and a pool hands out connections to a host that is gone for as long.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// Says that claims choose by kind (`db/lease.rs`): a trigger keeps jobs of newer kinds from programs that do not.
const CLAIMS_BY_KIND: &str = "SET clawdeploy.claims = 'by_kind'";

/// Makes the role under which people's rows are asked for, and says what it may.
const TENANT_RIGHTS: &str = include_str!("db/tenant.sql");

pub type Conn = AsyncPgConnection;

/// A connection that goes back to its pool.
pub type Pooled = Object<Conn>;

/// Where the database is, with the time limits of a connection to it.
fn target(args: &DatabaseArgs) -> Result<Target, DbError> {
    let unusable =
        |error: UrlError| DbError::Settings(format!("CLAWDEPLOY_DATABASE_URL: {}", crate::telemetry::chain(&error)));
    let mut target = Target::parse(args.database_url.expose_secret()).map_err(unusable)?;
    target.config_mut().connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(DEAD_AFTER).keepalives_idle(DEAD_AFTER);
    Ok(target)
}

/// A value for a column of JSON.
fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(value).map_err(|e| DbError::Query(diesel::result::Error::SerializationError(e.into())))
}

/// A text as a LIKE pattern that matches just that text.
fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '%' | '_') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the database did not answer in time")]
    Timeout,
    /// What the settings say cannot work, however long one waits.
    #[error("{0}")]
    Settings(String),
    #[error("a query failed")]
    Query(#[from] diesel::result::Error),
    #[error("a migration failed")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<ConnectError> for DbError {
    fn from(error: ConnectError) -> Self {
        match error {
            settings @ ConnectError::Settings { .. } => Self::Settings(format!("CLAWDEPLOY_DATABASE_URL: {settings}")),
            other => Self::Unreachable(other.into()),
        }
    }
}

impl DbError {
    /// The constraint that the write would have broken.
    pub fn broken_constraint(&self) -> Option<&str> {
        match self {
            Self::Query(diesel::result::Error::DatabaseError(
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::ForeignKeyViolation,
                info,
            )) => info.constraint_name(),
            _ => None,
        }
    }

    /// Whether the row that was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Query(diesel::result::Error::NotFound))
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout | Self::Query(diesel::result::Error::BrokenTransactionManager) => true,
            Self::Query(diesel::result::Error::DatabaseError(kind, info)) => {
                matches!(
                    kind,
                    DatabaseErrorKind::SerializationFailure
                        | DatabaseErrorKind::ClosedConnection
                        | DatabaseErrorKind::UnableToSendCommand
                ) || LAST_WORDS.contains(&info.message())
            }
            _ => false,
        }
    }
}

/// Handle on the database; clones share its pool.
#[derive(Clone)]
pub struct Db {
    pool: Pool<Conn>,
    target: Arc<Target>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

/// Prepares a pool; nothing is connected yet.
fn pool(args: &DatabaseArgs, target: &Arc<Target>) -> Result<Pool<Conn>, DbError> {
    let setup: Arc<str> = format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = 30000; {CLAIMS_BY_KIND}",
        STATEMENT_TIMEOUT.as_millis()
    )
    .into();
    let mut config = ManagerConfig::default();
    // A closed connection is noticed without asking the server on every checkout.
    config.recycling_method = RecyclingMethod::Fast;
    let target = Arc::clone(target);
    config.custom_setup = Box::new(move |_| {
        let (setup, target) = (Arc::clone(&setup), Arc::clone(&target));
        Box::pin(async move {
            let mut conn = target.connect().await?;
            conn.batch_execute(&setup).await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            Ok(conn)
        })
    });
    // The set-up knows where to connect.
    Pool::builder(AsyncDieselConnectionManager::<Conn>::new_with_config("", config))
        .max_size(args.database_connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(Duration::from_secs(2)))
        .build()
        .map_err(|e| DbError::Unreachable(e.into()))
}

impl Db {
    /// Prepares the pool; nothing is connected yet.
    pub fn new(args: &DatabaseArgs) -> Result<Self, DbError> {
        let target = Arc::new(target(args)?);
        Ok(Self { pool: pool(args, &target)?, target })
    }

    /// A connection that sees everything: for the system itself, and for whoever administrates.
    pub async fn conn(&self) -> Result<Pooled, DbError> {
        self.pool.get().await.map_err(|e| match e {
            deadpool::managed::PoolError::Timeout(_) => DbError::Timeout,
            other => DbError::Unreachable(other.into()),
        })
    }

    /// Brings the schema and the rights of people's connections up to date, one process at a time.
    ///
    /// Needs the multi-threaded runtime: diesel's migrations block the thread they run on.
    pub async fn migrate(&self) -> Result<(), DbError> {
        pooler::refuse_shared_sessions(&self.target).await?;
        // A connection of its own: a migration may take longer than a statement is given in the pool.
        let mut conn = tokio::time::timeout(CONNECT_TIMEOUT, self.target.connect())
            .await
            .map_err(|_| DbError::Timeout)?
            .map_err(DbError::from)?;
        conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})")).await?;
        let mut harness = AsyncMigrationHarness::new(conn);
        let done = harness.run_pending_migrations(MIGRATIONS).map_err(DbError::Migration)?;
        for version in &done {
            tracing::info!(migration = %version, "Migrated the database");
        }
        harness.into_inner().batch_execute(TENANT_RIGHTS).await?;
        // The lock goes with the connection.
        Ok(())
    }

    /// As [`Self::migrate`], waiting up to `patience` for a Postgres that is not up yet.
    pub async fn migrate_when_up(&self, patience: Duration) -> Result<(), DbError> {
        let began = std::time::Instant::now();
        loop {
            match self.migrate().await {
                Err(error @ (DbError::Unreachable(_) | DbError::Timeout)) if began.elapsed() < patience => {
                    tracing::warn!(error = crate::telemetry::chain(&error), "Postgres is not up yet; waiting for it");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                done => return done,
            }
        }
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        let mut conn = self.conn().await?;
        tokio::time::timeout(Duration::from_secs(2), conn.batch_execute("SELECT 1"))
            .await
            .map_err(|_| DbError::Timeout)??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_nothing_but_its_text() {
        assert_eq!(escape_like(r"100%_of\it"), r"100\%\_of\\it");
        assert_eq!(escape_like("port 80"), "port 80");
    }
}
