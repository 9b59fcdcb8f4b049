//! The story of a job as server-sent events.
//!
//! A stream asks the database twice a second: whichever worker writes, nothing is missed, and nothing depends on Redis.
//! All entries of a job are written under its row's lock, so that their ids appear in order.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::response::sse::{Event, KeepAlive, Sse};
use clawdeploy_shared::{
    db::{Scope, job, job_event},
    ids::{JobId, UserId},
    telemetry::chain,
};
use futures_util::{Stream, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::JobView;
use crate::{
    error::{AppError, AppResult, ErrorCode},
    state::AppState,
};

const POLL: Duration = Duration::from_millis(500);
const PING: Duration = Duration::from_secs(15);

/// A stream ends then, and its client comes back with its token: one that was revoked meanwhile is noticed.
const LIFETIME: Duration = Duration::from_mins(15);

/// Entries that are fetched at once.
const BATCH: i64 = 200;

/// Streams that one person may have open.
const MAX_PER_PERSON: usize = 20;

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

/// Tells the story of a job from after the entry `after` on. That the person may see the job was checked.
pub(super) fn open(
    app: AppState,
    user: UserId,
    job: JobId,
    after: i64,
) -> AppResult<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
    let slot = app.streams.take(user).ok_or_else(|| {
        let detail = format!("You have {MAX_PER_PERSON} event streams open already. Close one first.");
        AppError::new(ErrorCode::RateLimited, detail).with_retry_after(PING)
    })?;
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ends_at = Instant::now() + LIFETIME;
    let feed = Feed { app, job, after, ticks, ends_at, ready: VecDeque::new(), over: false, _slot: slot };
    Ok(Sse::new(stream::unfold(feed, Feed::next)).keep_alive(KeepAlive::new().interval(PING).text("ping")))
}

struct Feed {
    app: AppState,
    job: JobId,
    /// The last entry that was fetched.
    after: i64,
    ticks: Interval,
    ends_at: Instant,
    ready: VecDeque<Event>,
    /// Nothing comes after what is ready.
    over: bool,
    _slot: Slot,
}

impl Feed {
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
            if let Err(error) = self.fetch().await {
                // The client comes back with Last-Event-ID, and misses nothing.
                tracing::warn!(job.id = %self.job, error = chain(&error), "Ended an event stream");
                return None;
            }
        }
    }

    async fn fetch(&mut self) -> AppResult<()> {
        let mut conn = self.app.db.conn().await?;
        // First the job, then its story: a job that is over has told all of it.
        let Some(job) = job::find(&mut conn, Scope::Everything, self.job).await? else {
            self.over = true;
            return Ok(());
        };
        let entries = job_event::list(&mut conn, self.job, self.after, BATCH).await?;
        let all = i64::try_from(entries.len()).unwrap_or(i64::MAX) < BATCH;
        for entry in entries {
            self.after = entry.id;
            let event = Event::default().id(entry.id.to_string());
            self.ready.push_back(event.json_data(&entry).map_err(AppError::internal)?);
        }
        if all && job.status.is_terminal() {
            let end = Event::default().event("end").json_data(JobView::from(job)).map_err(AppError::internal)?;
            self.ready.push_back(end);
            self.over = true;
        }
        Ok(())
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
}
