//! The story of a job as server-sent events.
//!
//! All entries of a job are written under its row's lock, so that their ids appear in order.

use axum::response::sse::Event;
use clawdeploy_shared::{
    db::{Scope, job, job_event},
    ids::JobId,
    job::JobEventKind,
};

use crate::{
    error::{AppError, AppResult},
    event_stream::{Chapter, Story},
    state::AppState,
    views::job::JobView,
};

/// Entries that are fetched at once.
const BATCH: i64 = 200;

/// A job's entries, and at its end the job.
pub(super) struct JobStory {
    pub(super) scope: Scope,
    pub(super) job: JobId,
    /// The last entry that was told.
    pub(super) after: i64,
}

impl Story for JobStory {
    async fn next(&mut self, app: &AppState) -> AppResult<Chapter> {
        let told = app.read(self.scope, async |conn| {
            // First the job, then its story: a job that is over has told all of it.
            let Some(job) = job::find(conn, self.scope, self.job).await? else { return Ok(None) };
            Ok(Some((job, job_event::list(conn, self.job, self.after, BATCH).await?)))
        });
        let Some((job, entries)) = told.await? else { return Ok(Chapter { events: Vec::new(), last: true }) };
        let all = i64::try_from(entries.len()).unwrap_or(i64::MAX) < BATCH;
        let mut events = Vec::new();
        for entry in entries {
            self.after = entry.id;
            // An entry that only a newer version can explain.
            if entry.kind == JobEventKind::Unknown {
                continue;
            }
            let event = Event::default().id(entry.id.to_string());
            events.push(event.json_data(&entry).map_err(AppError::internal)?);
        }
        let last = all && job.status.is_terminal();
        if last {
            events.push(Event::default().event("end").json_data(JobView::from(job)).map_err(AppError::internal)?);
        }
        Ok(Chapter { events, last })
    }
}
