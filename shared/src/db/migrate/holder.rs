//! Finds out which session holds a lock that a migration waits for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use diesel::{OptionalExtension as _, QueryableByName, sql_types};
use diesel_async::RunQueryDsl as _;
use tokio::{task::JoinHandle, time::timeout};

use super::LockPatience;
use crate::db::{CONNECT_TIMEOUT, Conn, DbError, connection::Target};

/// The session that was in the way last, and of what.
#[derive(Debug, Clone, QueryableByName)]
struct Holder {
    #[diesel(sql_type = sql_types::Int4)]
    pid: i32,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    relation: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    program: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    role: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    client: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    state: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Int8>)]
    seconds: Option<i64>,
}

/// Looks every now and then, on a connection of its own, whom the migration's session waits for. Ends when dropped.
///
/// After a try it is too late to ask: Postgres forgets what a session waited for.
#[derive(Debug)]
pub(super) struct HolderWatch {
    last: Arc<Mutex<Option<Holder>>>,
    task: JoinHandle<()>,
}

impl Drop for HolderWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = sql_types::Int4)]
    pid: i32,
}

impl HolderWatch {
    pub(super) async fn start(target: &Target, watched: &mut Conn, period: Duration) -> Result<Self, DbError> {
        let backend: Backend = diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result(watched).await?;
        let connected = timeout(CONNECT_TIMEOUT, target.connect()).await;
        let mut conn = connected.map_err(|_| DbError::Timeout)?.map_err(DbError::from)?;
        let last = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&last);
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(period.max(Duration::from_millis(10)));
            loop {
                tick.tick().await;
                match in_the_way(&mut conn, backend.pid).await {
                    Ok(None) => {}
                    Ok(found) => *seen.lock().unwrap_or_else(PoisonError::into_inner) = found,
                    // The migration itself is told about the database.
                    Err(_) => return,
                }
            }
        });
        Ok(Self { last, task })
    }

    /// Why a migration did not get its locks, and what to do about it.
    pub(super) fn describe(&self, migration: &str, patience: LockPatience, tries: u32) -> String {
        let waited = format!("The migration {migration} waited {tries} times for {:?}", patience.limit);
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(holder) = last else {
            return format!("{waited} for a lock that another session holds; see pg_locks and pg_stat_activity");
        };
        let table = holder.relation.map_or_else(|| "a lock".to_owned(), |name| format!("the table {name}"));
        let about: Vec<String> = [
            holder.program.filter(|name| !name.is_empty()).map(|name| format!("program {name}")),
            holder.role.map(|role| format!("role {role}")),
            holder.client.map(|client| format!("client {client}")),
            holder.state,
            holder.seconds.map(|seconds| format!("in a transaction for {seconds} s")),
        ]
        .into_iter()
        .flatten()
        .collect();
        format!(
            "{waited} for {table}, which the session with process id {pid} holds ({about}). Wait until it is done, or \
             end it with SELECT pg_terminate_backend({pid}), and start this program again",
            pid = holder.pid,
            about = about.join(", "),
        )
    }
}

/// A session that the one with this process id waits for. Of its work only what says nothing about contents.
async fn in_the_way(conn: &mut Conn, pid: i32) -> Result<Option<Holder>, diesel::result::Error> {
    diesel::sql_query(
        "SELECT holder.pid, wanted.relation::regclass::text AS relation, a.application_name AS program, \
           a.usename::text AS role, host(a.client_addr) AS client, a.state, \
           extract(epoch FROM clock_timestamp() - a.xact_start)::bigint AS seconds \
         FROM unnest(pg_blocking_pids($1)) AS holder (pid) \
           LEFT JOIN pg_locks wanted ON wanted.pid = $1 AND NOT wanted.granted \
           LEFT JOIN pg_stat_activity a ON a.pid = holder.pid \
         ORDER BY a.xact_start LIMIT 1",
    )
    .bind::<sql_types::Int4, _>(pid)
    .get_result(conn)
    .await
    .optional()
}
