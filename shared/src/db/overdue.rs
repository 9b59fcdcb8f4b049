//! Due jobs that nobody claimed.

use std::time::Duration;

use diesel::{QueryableByName, sql_types};
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, lease};
use crate::{
    ids::JobId,
    job::{JobKind, Queue, UndoOutcome},
};

/// A job that has been claimable for a while.
#[derive(Debug, Clone, QueryableByName)]
pub struct Overdue {
    #[diesel(sql_type = sql_types::Uuid)]
    pub id: JobId,
    #[diesel(sql_type = sql_types::Text)]
    pub queue: Queue,
}

/// Jobs that have been due for `age` and are claimable, in claim order. Leaves out jobs that wait for another and those
/// of paused queues.
pub async fn list(conn: &mut Conn, age: Duration, limit: i64) -> Result<Vec<Overdue>, DbError> {
    Ok(diesel::sql_query(format!(
        "SELECT due.id, due.queue FROM jobs due \
         WHERE due.queue = ANY($3) AND due.run_at <= now() - make_interval(secs => $4) AND {claimable} \
         ORDER BY due.turn, due.seq LIMIT $5",
        claimable = lease::claimable("due.queue"),
    ))
    // A kind that only a newer version knows waits for a newer worker and is not overdue here.
    .bind::<sql_types::Array<sql_types::Text>, _>(JobKind::ALL)
    .bind::<sql_types::Array<sql_types::Text>, _>(UndoOutcome::ALL)
    .bind::<sql_types::Array<sql_types::Text>, _>(Queue::ALL)
    .bind::<sql_types::Float8, _>(age.as_secs_f64())
    .bind::<sql_types::Int8, _>(limit)
    .load(conn)
    .await?)
}

/// A queue with its number of queued jobs.
#[derive(Debug, Clone, QueryableByName)]
pub struct Waiting {
    #[diesel(sql_type = sql_types::Text)]
    pub queue: Queue,
    #[diesel(sql_type = sql_types::Int8)]
    pub jobs: i64,
}

/// The number of queued jobs in each queue that has any.
pub async fn waiting(conn: &mut Conn) -> Result<Vec<Waiting>, DbError> {
    Ok(diesel::sql_query(
        "SELECT queue, count(*) AS jobs FROM jobs WHERE status = 'queued' AND queue = ANY($1) GROUP BY queue",
    )
    .bind::<sql_types::Array<sql_types::Text>, _>(Queue::ALL)
    .load(conn)
    .await?)
}
