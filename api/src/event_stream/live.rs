//! Streams of values from a worker, as long as the person has access.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use clawdeploy_shared::ids::InstanceId;
use futures_util::{Stream, stream};
use serde::de::DeserializeOwned;

use super::{Admission, PING};
use crate::{auth::Principal, error::AppResult, rpc::stream::Values, state::AppState};

/// A worker's values for an instance and the person who receives them. Ends within two seconds after the person was
/// suspended, signed out, or lost the instance.
#[derive(Debug)]
pub struct Live {
    admission: Admission,
    values: Values,
    over: bool,
}

impl Live {
    pub fn new(app: &AppState, who: &Principal, instance: &InstanceId, values: Values) -> AppResult<Self> {
        Ok(Self { admission: Admission::new(app, who, Some(instance))?, values, over: false })
    }

    /// The next value. `None`: the stream has ended; [`Self::is_complete`] says whether the worker has sent everything.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        tokio::select! {
            biased;
            () = self.admission.over() => None,
            value = self.values.next() => {
                self.over = value.is_none();
                value
            }
        }
    }

    /// Whether the worker has sent everything.
    pub fn is_complete(&self) -> bool {
        self.over
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
