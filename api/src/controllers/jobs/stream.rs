//! The events of a job, as a stream.
//!
//! All events of a job are written under its row's lock, so their ids become visible in order.

use axum::response::sse::Event;
use clawdeploy_shared::{
    db::{Scope, job, job_event},
    ids::JobId,
    job::JobEventKind,
};

use crate::{
    error::{AppError, AppResult},
    event_stream::{EventBatch, EventSource},
    state::AppState,
    views::job::JobView,
};

/// Maximum number of events in a query.
const BATCH: i64 = 200;

/// The events of a job, followed by the job when it has ended.
pub(super) struct JobEvents {
    pub(super) scope: Scope,
    pub(super) job: JobId,
    /// Id of the last event that was returned.
    pub(super) after: i64,
}

impl EventSource for JobEvents {
    async fn next(&mut self, app: &AppState) -> AppResult<EventBatch> {
        let told = app.read(self.scope, async |conn| {
            // The job is read before its events: if it has ended, they are complete.
            let Some(job) = job::find(conn, self.scope, self.job).await? else { return Ok(None) };
            Ok(Some((job, job_event::list(conn, self.job, self.after, BATCH).await?)))
        });
        let Some((job, entries)) = told.await? else { return Ok(EventBatch { events: Vec::new(), last: true }) };
        let all = i64::try_from(entries.len()).unwrap_or(i64::MAX) < BATCH;
        let mut events = Vec::new();
        for entry in entries {
            self.after = entry.id;
            // Only a newer version knows this kind.
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
        Ok(EventBatch { events, last })
    }
}
