//! Server-sent events.
//!
//! A stream polls the database twice a second, so it misses nothing whichever worker writes, and does not depend on
//! Redis. Each kind of stream implements [`EventSource`]; polling, the end, and the limit for each person are shared.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    http::{HeaderMap, header},
    response::sse::{Event, KeepAlive, Sse},
};
use clawdeploy_shared::{ids::UserId, telemetry::chain};
use futures_util::{Stream, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::{
    auth::Principal,
    error::{AppError, AppResult, ErrorCode},
    state::AppState,
};

const POLL: Duration = Duration::from_millis(500);
const PING: Duration = Duration::from_secs(15);

/// After this time a stream ends, and its client reconnects.
const LIFETIME: Duration = Duration::from_mins(15);

/// Interval between checks that the person still has access.
const RECHECK: Duration = Duration::from_millis(900);

/// Maximum number of open streams of a person.
const MAX_PER_PERSON: usize = 20;

const LAST_EVENT_ID: &str = "last-event-id";

pub mod live;

/// Source of a stream's events. It remembers which of them it has returned.
pub trait EventSource: Send + 'static {
    /// Events since the last call.
    fn next(&mut self, app: &AppState) -> impl Future<Output = AppResult<EventBatch>> + Send;
}

/// Some events of a source.
#[derive(Debug, Default)]
pub struct EventBatch {
    pub events: Vec<Event>,
    /// There are no further events.
    pub last: bool,
}

/// Number of open streams of each person.
#[derive(Debug, Clone, Default)]
pub struct StreamSlots(Arc<Mutex<HashMap<UserId, usize>>>);

/// The slot of an open stream, released when dropped.
#[derive(Debug)]
struct Slot {
    slots: StreamSlots,
    user: UserId,
}

impl StreamSlots {
    fn take(&self, user: UserId) -> Option<Slot> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(user).or_default();
        if *count >= MAX_PER_PERSON {
            return None;
        }
        *count += 1;
        Some(Slot { slots: self.clone(), user })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.user);
            }
        }
    }
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
    let slot = taken(&app, who.user.id)?;
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ends_at = Instant::now() + LIFETIME;
    let checked_at = Instant::now();
    let who = who.clone();
    let feed = Feed { app, who, checked_at, source, ticks, ends_at, ready: VecDeque::new(), over: false, _slot: slot };
    Ok(Sse::new(stream::unfold(feed, Feed::next)).keep_alive(KeepAlive::new().interval(PING).text("ping")))
}

/// Takes a slot for one more stream of a person.
fn taken(app: &AppState, user: UserId) -> AppResult<Slot> {
    app.streams.take(user).ok_or_else(|| {
        let detail = format!("You already have {MAX_PER_PERSON} event streams open. Close one first.");
        AppError::new(ErrorCode::RateLimited, detail).with_retry_after(PING)
    })
}

struct Feed<S> {
    app: AppState,
    who: Principal,
    /// Time of the last check that the person still has access.
    checked_at: Instant,
    source: S,
    ticks: Interval,
    ends_at: Instant,
    ready: VecDeque<Event>,
    /// There are no events after those in `ready`.
    over: bool,
    _slot: Slot,
}

impl<S: EventSource> Feed<S> {
    /// Checks the person's access about once a second. Returns why it has ended.
    async fn end_of_rights(&mut self) -> Option<&'static str> {
        if self.checked_at.elapsed() < RECHECK {
            return None;
        }
        self.checked_at = Instant::now();
        match self.app.db.conn().await {
            Ok(mut conn) => match self.who.still_holds(&mut conn).await {
                Ok(true) => None,
                Ok(false) => Some("the session or token is no longer valid"),
                Err(_) => Some("the session cannot be checked"),
            },
            Err(_) => Some("the session cannot be checked"),
        }
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if self.over {
                return None;
            }
            tokio::select! {
                _ = self.ticks.tick() => {}
                () = sleep_until(self.ends_at) => return None,
                () = self.app.shutdown.cancelled() => return None,
            }
            if let Some(end) = self.end_of_rights().await {
                tracing::info!(user = %self.who.user.id, end, "Ended an event stream");
                return None;
            }
            match self.source.next(&self.app).await {
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
    fn a_person_has_so_many_streams_and_no_more() {
        let slots = StreamSlots::default();
        let (ann, bob) = (UserId::generate(), UserId::generate());
        let mut held: Vec<_> = (0..MAX_PER_PERSON).map(|_| slots.take(ann).unwrap()).collect();
        assert!(slots.take(ann).is_none());
        assert!(slots.take(bob).is_some());
        held.pop();
        assert!(slots.take(ann).is_some());
        drop(held);
        assert!(slots.0.lock().unwrap().is_empty());
    }

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
