//! Worker processes and their heartbeats.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{now, sql},
    expression::SqlLiteral,
    prelude::*,
    sql_types::{Bool, Int4, Nullable, Timestamptz},
    upsert::excluded,
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::workers};

/// A worker without a heartbeat for this long counts as dead, in seconds.
pub const DEAD_AFTER_SECONDS: i32 = 15;

/// A worker process.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[diesel(table_name = workers, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    pub id: String,
    pub host: String,
    pub pid: i32,
    pub version: String,
    pub queues: Vec<String>,
    /// Jobs it runs at once, all queues together.
    pub concurrency: i32,
    /// Jobs it runs now.
    pub running: i32,
    /// It takes no new jobs, and exits when its jobs have ended.
    pub draining: bool,
    /// When an administrator asked it to drain; it learns of it with its next heartbeat.
    pub drain_requested_at: Option<DateTime<Utc>>,
    /// Why it cannot reach its Docker engine; null: it can.
    pub docker_error: Option<String>,
    /// Why it stands by, in a word; null: it works.
    #[serde(skip)]
    pub standby_code: Option<String>,
    /// The same for a person.
    #[serde(skip)]
    pub standby_message: Option<String>,
    pub started_at: DateTime<Utc>,
    pub heartbeat_at: DateTime<Utc>,
}

impl Worker {
    /// Whether it takes no jobs because its database, directory and engine do not belong together.
    pub fn stands_by(&self) -> bool {
        self.standby_code.is_some()
    }
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = workers)]
pub struct WorkerBeat {
    pub id: String,
    pub host: String,
    pub pid: i32,
    pub version: String,
    pub queues: Vec<String>,
    pub concurrency: i32,
    pub running: i32,
    pub draining: bool,
    pub docker_error: Option<String>,
    /// Where the API reaches it, see [`Address`](crate::rpc::Address).
    pub address: Option<String>,
    pub standby_code: Option<String>,
    pub standby_message: Option<String>,
    /// Memory of the host that runs instances, in MiB. `None`: not known.
    pub memory_mb: Option<i32>,
}

/// Writes a heartbeat. The first one registers the worker. Returns whether it was asked to drain.
pub async fn beat(conn: &mut Conn, beat: &WorkerBeat) -> Result<bool, DbError> {
    Ok(diesel::insert_into(workers::table)
        .values(beat)
        .on_conflict(workers::id)
        .do_update()
        .set((
            workers::running.eq(excluded(workers::running)),
            workers::draining.eq(excluded(workers::draining)),
            workers::docker_error.eq(excluded(workers::docker_error)),
            workers::address.eq(excluded(workers::address)),
            workers::standby_code.eq(excluded(workers::standby_code)),
            workers::standby_message.eq(excluded(workers::standby_message)),
            // An engine that does not answer now has as much memory as before.
            workers::memory_mb.eq(sql::<Nullable<Int4>>("coalesce(excluded.memory_mb, workers.memory_mb)")),
            workers::heartbeat_at.eq(now),
        ))
        .returning(workers::drain_requested_at.is_not_null())
        .get_result(conn)
        .await?)
}

/// Asks a worker to drain. False: it does not exist.
pub async fn request_drain(conn: &mut Conn, id: &str) -> Result<bool, DbError> {
    Ok(diesel::update(workers::table.find(id)).set(workers::drain_requested_at.eq(now)).execute(conn).await? > 0)
}

/// Removes a worker that stopped in order.
pub async fn remove(conn: &mut Conn, id: &str) -> Result<(), DbError> {
    diesel::delete(workers::table.find(id)).execute(conn).await?;
    Ok(())
}

/// Deletes workers that have been silent for a day.
pub async fn forget_dead(conn: &mut Conn) -> Result<usize, DbError> {
    let long_ago = sql::<Timestamptz>("now() - interval '1 day'");
    Ok(diesel::delete(workers::table.filter(workers::heartbeat_at.lt(long_ago))).execute(conn).await?)
}

/// A worker that the API can call.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Callable {
    pub id: String,
    pub address: String,
}

/// Workers that are alive, do not stand by, reach their engine and have an address, the least busy first.
pub async fn callable(conn: &mut Conn) -> Result<Vec<Callable>, DbError> {
    Ok(workers::table
        .filter(is_alive())
        .filter(workers::draining.eq(false))
        .filter(workers::docker_error.is_null())
        .filter(workers::standby_code.is_null())
        .filter(workers::address.is_not_null())
        .order((workers::running, workers::heartbeat_at.desc()))
        .select((workers::id, workers::address.assume_not_null()))
        .limit(100)
        .load(conn)
        .await?)
}

/// Whether a worker of another version is alive.
pub async fn other_versions(conn: &mut Conn, version: &str) -> Result<bool, DbError> {
    // Longer than the others: one whose heartbeat is late is not gone yet.
    let lately = sql::<Bool>("workers.heartbeat_at > now() - interval '1 minute'");
    let others = workers::table.filter(workers::version.ne(version)).filter(lately);
    Ok(diesel::select(diesel::dsl::exists(others)).get_result(conn).await?)
}

/// The address of a worker, by its name.
pub async fn address_of(conn: &mut Conn, id: &str) -> Result<Option<String>, DbError> {
    let found: Option<Option<String>> =
        workers::table.find(id).select(workers::address).first(conn).await.optional()?;
    Ok(found.flatten())
}

/// Every known worker, and whether it is alive, newest first.
pub async fn list(conn: &mut Conn) -> Result<Vec<(Worker, bool)>, DbError> {
    Ok(workers::table
        .order(workers::started_at.desc())
        .select((Worker::as_select(), is_alive()))
        .limit(1000)
        .load(conn)
        .await?)
}

/// One of them.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<(Worker, bool)>, DbError> {
    Ok(workers::table.find(id).select((Worker::as_select(), is_alive())).first(conn).await.optional()?)
}

fn is_alive() -> SqlLiteral<Bool> {
    sql(&format!("workers.heartbeat_at > now() - interval '{DEAD_AFTER_SECONDS} seconds'"))
}
