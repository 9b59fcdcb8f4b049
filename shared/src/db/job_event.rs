//! The log of each job.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Conn, DbError, schema::job_events};
use crate::{ids::JobId, job::JobEventKind};

/// One entry.
#[derive(Debug, Clone, Queryable, QueryableByName, Selectable, Serialize, ToSchema)]
#[diesel(table_name = job_events, check_for_backend(diesel::pg::Pg))]
#[serde(rename_all = "camelCase")]
pub struct JobEvent {
    /// Order within the job; also the id of the server-sent event.
    pub id: i64,
    #[serde(skip)]
    pub job_id: JobId,
    /// Which claim of the job wrote it; 0: none.
    pub attempt: i64,
    pub kind: JobEventKind,
    pub step: Option<String>,
    pub message: String,
    /// Percent of the job at that moment.
    pub progress: Option<i16>,
    /// How long the step took, in milliseconds.
    pub duration_ms: Option<i64>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = job_events)]
pub struct NewJobEvent<'a> {
    pub job_id: JobId,
    pub attempt: i64,
    pub kind: JobEventKind,
    pub step: Option<&'a str>,
    pub message: &'a str,
    pub progress: Option<i16>,
    pub duration_ms: Option<i64>,
}

impl<'a> NewJobEvent<'a> {
    /// An event without a step.
    pub fn new(job_id: JobId, attempt: i64, kind: JobEventKind, message: &'a str) -> Self {
        Self { job_id, attempt, kind, step: None, message, progress: None, duration_ms: None }
    }
}

pub async fn insert(conn: &mut Conn, event: &NewJobEvent<'_>) -> Result<(), DbError> {
    diesel::insert_into(job_events::table).values(event).execute(conn).await?;
    Ok(())
}

/// The events of a job without its log lines, from the beginning.
pub async fn list_milestones(conn: &mut Conn, job: JobId) -> Result<Vec<JobEvent>, DbError> {
    Ok(job_events::table
        .filter(job_events::job_id.eq(job).and(job_events::kind.ne(JobEventKind::Log)))
        .order(job_events::id)
        .limit(2000)
        .select(JobEvent::as_select())
        .load(conn)
        .await?)
}

/// The events of a job after `after` (0: from the beginning).
pub async fn list(conn: &mut Conn, job: JobId, after: i64, limit: i64) -> Result<Vec<JobEvent>, DbError> {
    Ok(job_events::table
        .filter(job_events::job_id.eq(job).and(job_events::id.gt(after)))
        .order(job_events::id)
        .limit(limit)
        .select(JobEvent::as_select())
        .load(conn)
        .await?)
}
