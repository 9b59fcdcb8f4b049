//! Server-sent events.
//!
//! A stream waits for what [`Follow`](crate::follow::Follow) reads from the database for all streams together, so it
//! misses nothing whichever worker writes, and does not depend on Redis. Each kind of stream implements
//! [`EventSource`]; the end and the limit for each person are shared.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    http::{HeaderMap, header},
    response::sse::{Event, KeepAlive, Sse},
};
use chrono::Utc;
use clawdeploy_shared::{
    db::follow::Access,
    ids::{InstanceId, UserId},
    telemetry::chain,
};
use futures_util::{Stream, stream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Principal,
    error::{AppError, AppResult, ErrorCode},
    follow::board::Pending,
    slots::Slot,
    state::AppState,
};

const PING: Duration = Duration::from_secs(15);

/// After this time a stream ends, and its client reconnects.
const LIFETIME: Duration = Duration::from_mins(15);

/// Maximum number of open streams of a person.
pub const MAX_PER_PERSON: usize = 20;

const LAST_EVENT_ID: &str = "last-event-id";

pub mod live;

/// Source of a stream's events. It remembers which of them it has returned.
pub trait EventSource: Send + 'static {
    /// The events since the last call. Waits until there are any.
    fn next(&mut self, app: &AppState) -> impl Future<Output = AppResult<EventBatch>> + Send;
}

/// Some events of a source.
#[derive(Debug, Default)]
pub struct EventBatch {
    pub events: Vec<Event>,
    /// There are no further events.
    pub last: bool,
}

/// Whether a client accepts a stream.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|one| one.trim().starts_with("text/event-stream"))
}

/// Id of the last event that a reconnecting client has received.
pub fn last_event_id(headers: &HeaderMap) -> AppResult<Option<i64>> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|id: &i64| *id >= 0);
    id.map(Some).ok_or_else(|| {
        AppError::new(ErrorCode::InvalidHeader, "Last-Event-ID is not the id of an event.").with_field(
            "Last-Event-ID",
            "invalid",
            "must be the id of an event",
        )
    })
}

/// Streams a source to a person.
pub fn open<S: EventSource>(
    app: AppState,
    who: &Principal,
    source: S,
) -> AppResult<Sse<impl Stream<Item = Result<Event, Infallible>> + use<S>>> {
    let admission = Admission::new(&app, who, None)?;
    let feed = Feed { app, admission, source, ready: VecDeque::new(), over: false };
    Ok(Sse::new(stream::unfold(feed, Feed::next)).keep_alive(KeepAlive::new().interval(PING).text("ping")))
}

/// What an open stream holds, and what ends it from outside.
#[derive(Debug)]
struct Admission {
    user: UserId,
    /// Answered when the access has ended.
    access: Pending<Access>,
    ends_at: Instant,
    shutdown: CancellationToken,
    _slot: Slot<UserId>,
}

impl Admission {
    /// Admits one more stream of a person, to an instance that the person must own, if any.
    fn new(app: &AppState, who: &Principal, instance: Option<&InstanceId>) -> AppResult<Self> {
        let user = who.user.id;
        let slot = app.streams.take(user).ok_or_else(|| {
            let detail = format!("You already have {MAX_PER_PERSON} event streams open. Close one first.");
            AppError::new(ErrorCode::RateLimited, detail).with_retry_after(PING)
        })?;
        let credential = who.credential.good_until().map(|time| (time - Utc::now()).to_std().unwrap_or_default());
        let ends_at = Instant::now() + credential.unwrap_or(LIFETIME).min(LIFETIME);
        let access = app.follow.accesses.ask(who.access(instance));
        Ok(Self { user, access, ends_at, shutdown: app.shutdown.clone(), _slot: slot })
    }

    /// Waits until the stream must end. Cancel-safe.
    async fn over(&mut self) {
        tokio::select! {
            checked = &mut self.access => {
                let why = if checked.is_ok() { "the access has ended" } else { "the access cannot be checked" };
                tracing::info!(user = %self.user, why, "Ended an event stream");
            }
            () = sleep_until(self.ends_at) => {}
            () = self.shutdown.cancelled() => {}
        }
    }
}

struct Feed<S> {
    app: AppState,
    admission: Admission,
    source: S,
    ready: VecDeque<Event>,
    /// There are no events after those in `ready`.
    over: bool,
}

impl<S: EventSource> Feed<S> {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if self.over {
                return None;
            }
            let more = tokio::select! {
                biased;
                () = self.admission.over() => return None,
                more = self.source.next(&self.app) => more,
            };
            match more {
                Ok(EventBatch { events, last }) => {
                    self.ready.extend(events);
                    self.over = last;
                }
                Err(error) => {
                    // The client reconnects with Last-Event-ID and misses nothing.
                    tracing::warn!(error = chain(&error), "Ended an event stream");
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_has_seen() {
        let of = |value: &str| {
            last_event_id(&HeaderMap::from_iter([(LAST_EVENT_ID.parse().unwrap(), value.parse().unwrap())]))
        };
        assert_eq!(last_event_id(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of(" 7 ").unwrap(), Some(7));
        for bad in ["", "x", "-1", "9223372036854775808"] {
            assert_eq!(of(bad).unwrap_err().code(), ErrorCode::InvalidHeader, "{bad:?}");
        }
    }
}
