//! Whose rows a query may see, said to Postgres.
//!
//! Role and name are set by `SET LOCAL` in the statement that begins a transaction, and end with it. They are in no session, so
//! neither the next one who gets the connection nor a pooler's next client can find anything of them. Whatever comes between the
//! beginning and the end, the connection does not go back: a future that was dropped, a panic, an end that was not acknowledged.

use diesel_async::{AnsiTransactionManager, TransactionManager, pooled_connection::deadpool::Object};
use scopeguard::ScopeGuard;

use super::{Conn, Db, DbError, Pooled};
use crate::ids::UserId;

/// The role under which a person's rows are asked for; `tenant.sql` makes it.
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
    /// The person it is limited to.
    pub fn owner(self) -> Option<UserId> {
        match self {
            Self::Owner(id) => Some(id),
            Self::Everything => None,
        }
    }

    /// What begins a transaction that sees no more, in one message. An id is all that comes from outside, and has no quotes.
    fn begin(self, begin: &str) -> String {
        match self {
            Self::Owner(id) => format!("{begin}; SET LOCAL ROLE {TENANT_ROLE}; SET LOCAL clawdeploy.tenant = '{id}'"),
            Self::Everything => begin.to_owned(),
        }
    }
}

impl Db {
    /// Asks what the scope may see, whatever is asked. Of one person's it is a transaction that cannot write.
    ///
    /// Nothing else is awaited in it: it has a connection all the while.
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

    /// Changes what the scope may see, in a transaction: an error takes back all of it.
    ///
    /// Call it where no one may drop the future, or the change is lost with it.
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
                // Only now does it go back to the pool.
                drop(ScopeGuard::into_inner(conn));
                done
            }
            (Ok(_), Err(error)) => Err(DbError::from(error).into()),
            // What went wrong first is of more interest.
            (error, Err(_)) => error,
        }
    }
}

/// Closes a connection instead of giving it back; Postgres ends what was begun over it.
fn discard(conn: Pooled) {
    drop(Object::take(conn));
}
