//! The events of a job, as a stream.

use axum::response::sse::Event;
use clawdeploy_shared::{
    db::{
        Scope,
        follow::{JobNews, JobPosition},
    },
    job::JobEventKind,
};

use crate::{
    error::{AppError, AppResult},
    event_stream::{EventBatch, EventSource},
    state::AppState,
    views::job::JobView,
};

/// The events of a job, followed by the job when it has ended.
pub(super) struct JobEvents {
    pub(super) scope: Scope,
    /// The last event that was returned.
    pub(super) position: JobPosition,
}

impl EventSource for JobEvents {
    async fn next(&mut self, app: &AppState) -> AppResult<EventBatch> {
        let gone = EventBatch { events: Vec::new(), last: true };
        let news = app.follow.jobs.ask(self.position).await?;
        let JobNews::More { owner, events: entries, ended } = &*news else { return Ok(gone) };
        // The question was asked for everybody.
        if self.scope.owner().is_some_and(|only| *owner != Some(only)) {
            return Ok(gone);
        }
        let mut events = Vec::new();
        for entry in entries {
            self.position.after = entry.id;
            // Only a newer version knows this kind.
            if entry.kind == JobEventKind::Unknown {
                continue;
            }
            let event = Event::default().id(entry.id.to_string());
            events.push(event.json_data(entry).map_err(AppError::internal)?);
        }
        if let Some(job) = ended {
            let job = JobView::from(job.as_ref().clone());
            events.push(Event::default().event("end").json_data(job).map_err(AppError::internal)?);
        }
        Ok(EventBatch { events, last: ended.is_some() })
    }
}
