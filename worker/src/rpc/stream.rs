//! Streaming responses: one JSON value per line while the client listens.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// Lines buffered for a slow client.
const QUEUE: usize = 64;
/// Delay between two keep-alives, which also detect a disconnected client.
const ALIVE: Duration = Duration::from_secs(5);

/// Responds with the items of `values`, until they end or the worker drains.
pub(super) fn answer<T>(values: impl Stream<Item = T> + Send + 'static, draining: CancellationToken) -> Response
where
    T: Serialize + Send,
{
    let (lines, listener) = mpsc::channel::<Bytes>(QUEUE);
    tokio::spawn(async move {
        let mut values = std::pin::pin!(values);
        let mut alive = interval(ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let line = tokio::select! {
                value = values.next() => match value {
                    Some(value) => serde_json::to_vec(&value).unwrap_or_default(),
                    None => return,
                },
                _ = alive.tick() => Vec::new(),
                () = draining.cancelled() => return,
            };
            if lines.send([line.as_slice(), b"\n"].concat().into()).await.is_err() {
                return;
            }
        }
    });
    let body = stream::unfold(listener, async |mut listener| {
        let line = listener.recv().await?;
        Some((Ok::<_, Infallible>(line), listener))
    });
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(body)).into_response()
}
