//! The months of the audit log.
//!
//! The table `audit` is partitioned by month. Nothing in it is ever changed or deleted: a month leaves as a whole, when
//! its partition is dropped, and normally only after it was written to a file ([`note_export`]). Migration 38 has the
//! functions that this uses.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Binary, Bool, Int4, Int8, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncConnection as _, RunQueryDsl, SimpleAsyncConnection as _};
use serde_json::json;

use super::{
    Conn, DbError,
    audit::{self, NewAuditEntry, Outcome},
};

/// Months for which partitions exist ahead of time.
const AHEAD: i32 = 3;

/// How long a change of the partitions waits for a lock. All who want the audit log wait as long.
const LOCK_LIMIT: &str = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '60s'";

/// A partition whose entries are all older than they need to be kept.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct OldPartition {
    #[diesel(sql_type = Text)]
    pub partition: String,
    /// From when its entries are; `None`: from the beginning.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub from_at: Option<DateTime<Utc>>,
    /// Until when, exclusively.
    #[diesel(sql_type = Timestamptz)]
    pub until_at: DateTime<Utc>,
    /// Whether its entries were written to a file.
    #[diesel(sql_type = Bool)]
    pub exported: bool,
}

/// The partitions that ended more than `keep_days` ago, oldest first.
pub async fn old(conn: &mut Conn, keep_days: i32) -> Result<Vec<OldPartition>, DbError> {
    Ok(diesel::sql_query(
        "SELECT p.partition, p.from_at, p.until_at, EXISTS (SELECT FROM audit_exports e \
           WHERE e.partition = p.partition AND e.until_at = p.until_at) AS exported \
         FROM audit_partitions() p WHERE p.until_at <= now() - make_interval(days => $1) ORDER BY p.until_at",
    )
    .bind::<Int4, _>(keep_days)
    .load(conn)
    .await?)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Int8)]
    count: i64,
}

/// Makes the missing partitions of this month and the next ones. Returns how many entries lie in none of them.
pub async fn add_months(conn: &mut Conn) -> Result<i64, DbError> {
    conn.transaction(async |conn| {
        conn.batch_execute(LOCK_LIMIT).await?;
        diesel::sql_query("SELECT audit_add_months($1)").bind::<Int4, _>(AHEAD).execute(conn).await?;
        let stray: Count = diesel::sql_query("SELECT count(*) AS count FROM audit_default").get_result(conn).await?;
        Ok(stray.count)
    })
    .await
}

/// An entry as one line of JSON, with every column by its name.
#[derive(Debug, Clone, QueryableByName)]
pub struct Line {
    #[diesel(sql_type = Int8)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub json: String,
}

/// The next entries of a partition in the order of their ids.
pub async fn lines(conn: &mut Conn, partition: &OldPartition, after: i64, limit: i64) -> Result<Vec<Line>, DbError> {
    Ok(diesel::sql_query(
        "SELECT id, to_jsonb(audit)::text AS json FROM audit \
         WHERE at >= coalesce($1, '-infinity') AND at < $2 AND id > $3 ORDER BY id LIMIT $4",
    )
    .bind::<Nullable<Timestamptz>, _>(partition.from_at)
    .bind::<Timestamptz, _>(partition.until_at)
    .bind::<Int8, _>(after)
    .bind::<Int8, _>(limit)
    .load(conn)
    .await?)
}

/// A file with the entries of a partition.
#[derive(Debug, Clone)]
pub struct Export {
    pub file: String,
    pub sha256: Vec<u8>,
    /// How many entries it has.
    pub entries: i64,
}

/// Records that a partition was written to a file, there and in the audit log. Call it when the file is on disk.
pub async fn note_export(
    conn: &mut Conn,
    worker: &str,
    partition: &OldPartition,
    export: &Export,
) -> Result<(), DbError> {
    conn.transaction(async |conn| {
        diesel::sql_query(
            "INSERT INTO audit_exports (partition, from_at, until_at, entries, file, sha256, worker) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind::<Text, _>(&partition.partition)
        .bind::<Nullable<Timestamptz>, _>(partition.from_at)
        .bind::<Timestamptz, _>(partition.until_at)
        .bind::<Int8, _>(export.entries)
        .bind::<Text, _>(&export.file)
        .bind::<Binary, _>(&export.sha256)
        .bind::<Text, _>(worker)
        .execute(conn)
        .await?;
        let detail = json!({ "file": export.file, "entries": export.entries, "until": partition.until_at });
        note(conn, worker, "audit.export", partition, detail).await
    })
    .await
}

/// Drops a partition and records that in the audit log. With `exported`, fails unless its export is recorded and has
/// every entry. Returns how many entries it had.
pub async fn drop(conn: &mut Conn, worker: &str, partition: &OldPartition, exported: bool) -> Result<i64, DbError> {
    conn.transaction(async |conn| {
        conn.batch_execute(LOCK_LIMIT).await?;
        let gone: Count = diesel::sql_query("SELECT audit_drop($1, $2) AS count")
            .bind::<Text, _>(&partition.partition)
            .bind::<Bool, _>(exported)
            .get_result(conn)
            .await?;
        let detail = json!({ "entries": gone.count, "exported": exported, "until": partition.until_at });
        note(conn, worker, "audit.drop", partition, detail).await?;
        Ok(gone.count)
    })
    .await
}

async fn note(
    conn: &mut Conn,
    worker: &str,
    action: &str,
    partition: &OldPartition,
    detail: serde_json::Value,
) -> Result<(), DbError> {
    let entry = NewAuditEntry {
        actor_id: None,
        actor: worker,
        action,
        target_kind: "audit",
        target_id: &partition.partition,
        owner_id: None,
        detail,
        request_id: None,
        client_ip: None,
        outcome: Outcome::Success,
    };
    audit::insert(conn, &entry).await
}
