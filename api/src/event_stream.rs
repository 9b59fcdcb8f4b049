//! Server-sent events: what happens to something, as it happens.
//!
//! A stream asks the database twice a second: whichever worker writes, nothing is missed, and nothing depends on Redis.
//! What is told is a [`Story`]; when it is asked, when it ends, and how many of them a person has are the same for all.

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

/// A stream ends then, and its client comes back.
const LIFETIME: Duration = Duration::from_mins(15);

/// How often it is looked whether the person may still hear it.
const RECHECK: Duration = Duration::from_millis(900);

/// Streams that one person may have open.
const MAX_PER_PERSON: usize = 20;

const LAST_EVENT_ID: &str = "last-event-id";

pub mod live;

/// Something that is told event by event. It knows how far it has told.
pub trait Story: Send + 'static {
    /// What there is to tell since it was asked last.
    fn next(&mut self, app: &AppState) -> impl Future<Output = AppResult<Chapter>> + Send;
}

/// A part of a story.
#[derive(Debug, Default)]
pub struct Chapter {
    pub events: Vec<Event>,
    /// Nothing comes after it.
    pub last: bool,
}

/// How many streams each person has open.
#[derive(Debug, Clone, Default)]
pub struct StreamSlots(Arc<Mutex<HashMap<UserId, usize>>>);

/// One open stream; gives its slot back when it is dropped.
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

/// Whether a client asks for a stream.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|one| one.trim().starts_with("text/event-stream"))
}

/// The event after which a client that was cut off goes on.
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

/// Tells a story to a person who may hear it.
pub fn open<S: Story>(
    app: AppState,
    who: &Principal,
    story: S,
) -> AppResult<Sse<impl Stream<Item = Result<Event, Infallible>> + use<S>>> {
    let slot = taken(&app, who.user.id)?;
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ends_at = Instant::now() + LIFETIME;
    let checked_at = Instant::now();
    let who = who.clone();
    let feed = Feed { app, who, checked_at, story, ticks, ends_at, ready: VecDeque::new(), over: false, _slot: slot };
    Ok(Sse::new(stream::unfold(feed, Feed::next)).keep_alive(KeepAlive::new().interval(PING).text("ping")))
}

/// A slot for one more stream of a person's.
fn taken(app: &AppState, user: UserId) -> AppResult<Slot> {
    app.streams.take(user).ok_or_else(|| {
        let detail = format!("You already have {MAX_PER_PERSON} event streams open. Close one first.");
        AppError::new(ErrorCode::RateLimited, detail).with_retry_after(PING)
    })
}

struct Feed<S> {
    app: AppState,
    who: Principal,
    /// When it was last seen that the person still may hear it.
    checked_at: Instant,
    story: S,
    ticks: Interval,
    ends_at: Instant,
    ready: VecDeque<Event>,
    /// Nothing comes after what is ready.
    over: bool,
    _slot: Slot,
}

impl<S: Story> Feed<S> {
    /// Why the person may not hear more: looked at every second.
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
            match self.story.next(&self.app).await {
                Ok(Chapter { events, last }) => {
                    self.ready.extend(events);
                    self.over = last;
                }
                Err(error) => {
                    // The client comes back with Last-Event-ID, and misses nothing.
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
