//! Streams of values from a worker, as long as the person has access.

use std::{convert::Infallible, time::Duration};

use axum::response::sse::{Event, KeepAlive, Sse};
use clawdeploy_shared::{
    db::{DbError, instance},
    ids::InstanceId,
};
use futures_util::{Stream, stream};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::{LIFETIME, PING, Slot, taken};
use crate::{auth::Principal, error::AppResult, rpc::stream::Values, state::AppState};

/// Interval between checks that the person still has access.
const CHECK: Duration = Duration::from_secs(1);

/// A worker's values for an instance and the person who receives them. Ends within two seconds after the person was
/// suspended, signed out, or lost the instance.
#[derive(Debug)]
pub struct Live {
    app: AppState,
    values: Values,
    who: Principal,
    instance: InstanceId,
    checks: Interval,
    ends_at: Instant,
    over: bool,
    _slot: Slot,
}

impl Live {
    pub fn new(app: AppState, who: &Principal, instance: InstanceId, values: Values) -> AppResult<Self> {
        let slot = taken(&app, who.user.id)?;
        let now = Instant::now();
        let mut checks = interval_at(now + CHECK, CHECK);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (who, ends_at) = (who.clone(), now + LIFETIME);
        Ok(Self { app, values, who, instance, checks, ends_at, over: false, _slot: slot })
    }

    /// The next value. `None`: the stream has ended; [`Self::is_complete`] says whether the worker has sent everything.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            tokio::select! {
                value = self.values.next() => {
                    self.over = value.is_none();
                    return value;
                }
                _ = self.checks.tick() => {
                    if !self.may_go_on().await {
                        return None;
                    }
                }
                () = sleep_until(self.ends_at) => return None,
                () = self.app.shutdown.cancelled() => return None,
            }
        }
    }

    /// Whether the worker has sent everything.
    pub fn is_complete(&self) -> bool {
        self.over
    }

    async fn may_go_on(&self) -> bool {
        let asked = self.app.db.read(self.who.own(), async |conn| {
            let owns = instance::find(conn, self.who.own(), &self.instance).await?.is_some();
            Ok::<_, DbError>(owns && self.who.still_holds(conn).await?)
        });
        let asked = asked.await;
        // While the database is down, nobody can be suspended either.
        asked.unwrap_or(true)
    }

    /// As server-sent events.
    pub fn events<T, F>(self, event: F) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
    where
        T: DeserializeOwned + Send + 'static,
        F: Fn(&T) -> Event + Send + 'static,
    {
        let events = stream::unfold((self, event, false), async |(mut live, event, ended)| {
            if ended {
                return None;
            }
            match live.next::<T>().await {
                Some(value) => Some((Ok(event(&value)), (live, event, false))),
                // After any other end, the client reconnects.
                None if live.is_complete() => Some((Ok(Event::default().event("end").data("{}")), (live, event, true))),
                None => None,
            }
        });
        Sse::new(events).keep_alive(KeepAlive::new().interval(PING).text("ping"))
    }
}
