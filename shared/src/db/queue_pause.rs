//! Queues that an administrator paused.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, schema::queue_pauses};
use crate::{ids::UserId, job::Queue};

/// Pauses a queue: running jobs continue, but nothing new is claimed. False: it was already paused.
pub async fn pause(conn: &mut Conn, queue: Queue, by: UserId) -> Result<bool, DbError> {
    let paused = diesel::insert_into(queue_pauses::table)
        .values((queue_pauses::queue.eq(queue), queue_pauses::paused_by.eq(by)))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(paused > 0)
}

/// Resumes a queue; false: it was not paused.
pub async fn resume(conn: &mut Conn, queue: Queue) -> Result<bool, DbError> {
    Ok(diesel::delete(queue_pauses::table.find(queue)).execute(conn).await? > 0)
}

/// The paused queues and when they were paused.
pub async fn list(conn: &mut Conn) -> Result<Vec<(Queue, DateTime<Utc>)>, DbError> {
    let known = queue_pauses::table.filter(queue_pauses::queue.eq_any(Queue::ALL));
    Ok(known.select((queue_pauses::queue, queue_pauses::paused_at)).load(conn).await?)
}
