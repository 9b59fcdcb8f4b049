//! The log of a build, as a stream.

use axum::response::sse::Event;

use super::{
    ImageLog,
    position::{BuildPosition, End, More},
};
use crate::{
    error::{AppError, AppResult},
    event_stream::{EventBatch, EventSource},
    state::AppState,
};

/// The log from a position on, and an event named `end`.
#[derive(Debug)]
pub struct BuildLogStream(pub BuildPosition);

impl EventSource for BuildLogStream {
    async fn next(&mut self, app: &AppState) -> AppResult<EventBatch> {
        let news = app.follow.builds.ask(self.0).await?;
        let Some(More { log, end }) = &*news else { return Ok(EventBatch { events: Vec::new(), last: true }) };
        let mut events = super::events(log)?;
        self.0.from = log.to;
        let named = Event::default().event("end");
        let last = match end {
            None | Some(End::Image(None)) => None,
            Some(End::Image(Some(build))) => Some(named.json_data(build)),
            Some(End::OfJob(status)) => {
                let (from, to, progress) = (log.to, log.to, log.progress);
                Some(named.json_data(ImageLog { from, to, text: String::new(), progress, status: *status }))
            }
        };
        events.extend(last.transpose().map_err(AppError::internal)?);
        Ok(EventBatch { events, last: end.is_some() })
    }
}
