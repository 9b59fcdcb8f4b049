//! Postgres, the source of truth. One file for each table, with its rows and queries.
//!
//! - Queries on a person's behalf start from a [`Scope`], which only an authenticated principal yields. An owner's
//!   queries run in a transaction that sees nothing else ([`Db::read`], [`Db::write`]): row-level security repeats the
//!   check, so that a query that forgets its scope finds nothing.
//! - Times are compared by the database's clock only.
//! - A transaction never runs in a future that may be dropped. An HTTP handler is dropped when its client disconnects,
//!   so callers spawn the transaction.

use std::{sync::Arc, time::Duration};

use deadpool::{Runtime, managed::QueueMode};
use diesel::result::DatabaseErrorKind;
use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use secrecy::ExposeSecret as _;

use self::connection::{ConnectError, Target, UrlError};
pub use self::scope::Scope;
use crate::config::DatabaseArgs;

pub mod audit;
pub mod audit_partition;
pub mod boot;
pub mod connection;
pub mod disk;
pub mod firewall;
pub mod follow;
pub mod frozen;
pub mod host;
pub mod identity;
pub mod image;
pub mod installation;
pub mod instance;
pub mod invitation;
pub mod job;
pub mod job_event;
pub mod lease;
mod literal;
pub mod migrate;
pub mod orphan_candidate;
pub mod overdue;
pub mod person;
mod pooler;
pub mod port;
pub mod queue_pause;
pub mod queue_stats;
pub mod recoverable;
pub mod reseal;
pub mod retention;
pub mod rollout;
pub mod route;
pub mod schema;
pub mod scope;
pub mod second_factor;
pub mod server;
pub mod session;
pub mod session_lock;
pub mod setup;
pub mod sleep;
pub mod snapshot;
pub mod stuck;
pub mod sweep;
pub mod terminal;
pub mod token;
pub mod usage;
pub mod user;
pub mod version_policy;
pub mod warm_pool;
pub mod watched;
pub mod worker;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Time limit of a statement in Postgres.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a connection from the pool, whether free or new.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages of Postgres when it terminates a session (57P01). Diesel has no error kind for it and passes on only the
/// text.
const LAST_WORDS: [&str; 2] =
    ["terminating connection due to administrator command", "terminating connection due to unexpected postmaster exit"];

/// How long sent data may stay unacknowledged. The kernel alone would wait for a quarter of an hour, and the pool would
/// hand out connections to a dead host for as long.
const DEAD_AFTER: Duration = Duration::from_secs(10);

/// Tells a trigger that this program claims by kind (`db/lease.rs`). The trigger keeps jobs of newer kinds from
/// programs that do not.
const CLAIMS_BY_KIND: &str = "SET clawdeploy.claims = 'by_kind'";

/// Creates the role for people's queries and its rights.
const TENANT_RIGHTS: &str = include_str!("db/tenant.sql");

pub type Conn = AsyncPgConnection;

/// A connection that returns to its pool.
pub type Pooled = Object<Conn>;

/// Reads the address of the database and sets the time limits of its connections.
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

/// Escapes a text for a LIKE pattern that matches exactly that text.
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
    /// A setting that cannot work, so waiting does not help.
    #[error("{0}")]
    Settings(String),
    #[error("a query failed")]
    Query(#[from] diesel::result::Error),
    #[error("a migration failed")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another session holds a lock that a migration needs; the text says which one, and what to do.
    #[error("{0}")]
    MigrationBlocked(String),
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
    /// The constraint that the write violated.
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

    /// Whether the requested row does not exist.
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

/// Handle on the database. Clones share its pool.
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

/// Creates a pool without connecting.
fn pool(args: &DatabaseArgs, target: &Arc<Target>) -> Result<Pool<Conn>, DbError> {
    let setup: Arc<str> = format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = 30000; SET jit = off; {CLAIMS_BY_KIND}",
        STATEMENT_TIMEOUT.as_millis()
    )
    .into();
    let mut config = ManagerConfig::default();
    // Detects a closed connection without a query at every checkout.
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
    // The set-up function knows the address.
    Pool::builder(AsyncDieselConnectionManager::<Conn>::new_with_config("", config))
        .max_size(args.database_connections)
        // Most recently used first: a connection keeps its plans and Postgres its catalog caches, which each further
        // connection would have to build as well.
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(Duration::from_secs(2)))
        .build()
        .map_err(|e| DbError::Unreachable(e.into()))
}

impl Db {
    /// Creates the pool without connecting.
    pub fn new(args: &DatabaseArgs) -> Result<Self, DbError> {
        let target = Arc::new(target(args)?);
        Ok(Self { pool: pool(args, &target)?, target })
    }

    /// A connection that sees everything, for the system and for administrators.
    pub async fn conn(&self) -> Result<Pooled, DbError> {
        self.pool.get().await.map_err(|e| match e {
            deadpool::managed::PoolError::Timeout(_) => DbError::Timeout,
            other => DbError::Unreachable(other.into()),
        })
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
