//! Queues that an administrator paused.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Conn, DbError, schema::queue_pauses};
use crate::{ids::UserId, job::Queue};

/// Pauses a queue: what runs goes on, nothing new is claimed. Pausing a paused queue changes nothing.
pub async fn pause(conn: &mut Conn, queue: Queue, by: UserId) -> Result<(), DbError> {
    diesel::insert_into(queue_pauses::table)
        .values((queue_pauses::queue.eq(queue), queue_pauses::paused_by.eq(by)))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Resumes a queue.
pub async fn resume(conn: &mut Conn, queue: Queue) -> Result<(), DbError> {
    diesel::delete(queue_pauses::table.find(queue)).execute(conn).await?;
    Ok(())
}

/// The paused queues, and since when.
pub async fn list(conn: &mut Conn) -> Result<Vec<(Queue, DateTime<Utc>)>, DbError> {
    Ok(queue_pauses::table.select((queue_pauses::queue, queue_pauses::paused_at)).load(conn).await?)
}
