//! Tells Postgres whose rows a query may see.
//!
//! Role and name are set by `SET LOCAL` in the statement that begins a transaction and end with it. So neither the next
//! user of the connection nor a pooler's next client can see them. If the transaction does not end cleanly (a dropped
//! future, a panic, an unacknowledged end), the connection is closed and does not return to the pool.

use diesel_async::{AnsiTransactionManager, TransactionManager, pooled_connection::deadpool::Object};
use scopeguard::ScopeGuard;

use super::{Conn, Db, DbError, Pooled};
use crate::ids::UserId;

/// The role for people's queries, created by `tenant.sql`.
const TENANT_ROLE: &str = "clawdeploy_tenant";

/// Whose rows a query may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One person's.
    Owner(UserId),
    /// Everybody's: admins, and the system itself.
    Everything,
}

impl Scope {
    /// The owner that it is limited to.
    pub fn owner(self) -> Option<UserId> {
        match self {
            Self::Owner(id) => Some(id),
            Self::Everything => None,
        }
    }

    /// The statement that begins a transaction with this scope, in one message. Only an id comes from outside, and it
    /// has no quotes.
    fn begin(self, begin: &str) -> String {
        match self {
            Self::Owner(id) => format!("{begin}; SET LOCAL ROLE {TENANT_ROLE}; SET LOCAL clawdeploy.tenant = '{id}'"),
            Self::Everything => begin.to_owned(),
        }
    }
}

impl Db {
    /// Reads what the scope may see. For an owner this is a read-only transaction.
    ///
    /// Await nothing else in it, because it holds a connection.
    pub async fn read<T, E: From<DbError>>(
        &self,
        scope: Scope,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        match scope {
            Scope::Owner(_) => self.transaction(&scope.begin("BEGIN READ ONLY"), work).await,
            Scope::Everything => work(&mut *self.conn().await?).await,
        }
    }

    /// Writes what the scope may see, in a transaction. An error rolls back all of it.
    ///
    /// Call it in a future that cannot be dropped, or the change is lost.
    pub async fn write<T, E: From<DbError>>(
        &self,
        scope: Scope,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction(&scope.begin("BEGIN"), work).await
    }

    async fn transaction<T, E: From<DbError>>(
        &self,
        begin: &str,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = scopeguard::guard(self.conn().await?, discard);
        AnsiTransactionManager::begin_transaction_sql(&mut **conn, begin).await.map_err(DbError::from)?;
        let done = work(&mut conn).await;
        let ended = match &done {
            Ok(_) => AnsiTransactionManager::commit_transaction(&mut **conn).await,
            Err(_) => AnsiTransactionManager::rollback_transaction(&mut **conn).await,
        };
        match (done, ended) {
            (done, Ok(())) => {
                // Only now does the connection return to the pool.
                drop(ScopeGuard::into_inner(conn));
                done
            }
            (Ok(_), Err(error)) => Err(DbError::from(error).into()),
            // The first error matters more.
            (error, Err(_)) => error,
        }
    }
}

/// Closes a connection instead of returning it. Postgres then rolls back what it began.
fn discard(conn: Pooled) {
    drop(Object::take(conn));
}
