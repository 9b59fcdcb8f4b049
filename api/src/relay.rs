//! Relays messages unchanged between a browser and the worker that holds its terminal, and pings both sides.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use clawdeploy_shared::rpc::terminal::{FromServer, close, text};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::{self, Message as WorkerMessage};
use tokio_util::sync::CancellationToken;

use crate::rpc::socket::WorkerSocket;

/// Interval between pings.
const PING: Duration = Duration::from_secs(20);
/// A browser that sends nothing for this time counts as dead.
const DEAD_AFTER: Duration = Duration::from_secs(50);
/// Time limit for sending one message.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// Time limit for the closing handshake with a browser. If a connection is closed while received data is unread, data
/// that was just sent may be lost.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// Relays messages until one side ends. Then closes the browser's WebSocket with the code of the end, if it is still
/// connected.
pub async fn run(browser: WebSocket, worker: WorkerSocket, shutdown: CancellationToken) {
    let (mut to_browser, mut from_browser) = browser.split();
    let (mut to_worker, mut from_worker) = worker.split();
    let code = tokio::select! {
        code = up(&mut from_browser, &mut to_worker) => code,
        code = down(&mut from_worker, &mut to_browser) => Some(code),
        () = shutdown.cancelled() => Some(close::AGAIN),
    };
    if let Some(code) = code {
        let farewell = async {
            let _ = to_browser.send(closing(code)).await;
            while let Some(Ok(_)) = from_browser.next().await {}
        };
        let _ = timeout(FAREWELL_LIMIT, farewell).await;
    }
}

/// Sends an error message and closes the WebSocket.
pub async fn refuse(mut browser: WebSocket, code: u16, name: &str, message: &str) {
    let word = FromServer::Error { code: name.to_owned(), message: message.to_owned() };
    let farewell = async {
        let _ = browser.send(Message::Text(text(&word).into())).await;
        let _ = browser.send(closing(code)).await;
        while let Some(Ok(_)) = browser.recv().await {}
    };
    let _ = timeout(FAREWELL_LIMIT, farewell).await;
}

fn closing(code: u16) -> Message {
    Message::Close(Some(CloseFrame { code, reason: "".into() }))
}

/// Relays messages from a browser to the worker. `None`: the browser is gone.
async fn up<B, W>(browser: &mut B, worker: &mut W) -> Option<u16>
where
    B: Stream<Item = Result<Message, axum::Error>> + Unpin,
    W: Sink<WorkerMessage> + Unpin,
{
    loop {
        let message = match timeout(DEAD_AFTER, browser.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return is_too_big(error).then_some(close::TOO_BIG),
            Ok(None) | Err(_) => return None,
        };
        let message = match message {
            Message::Binary(bytes) => WorkerMessage::Binary(bytes),
            Message::Text(text) => WorkerMessage::text(text.as_str()),
            Message::Close(_) => return None,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        if !timeout(WRITE_LIMIT, worker.send(message)).await.is_ok_and(|sent| sent.is_ok()) {
            return Some(close::AGAIN);
        }
    }
}

/// Relays messages from the worker to a browser. Returns the code with which to close the browser's WebSocket.
async fn down<B, W>(worker: &mut W, browser: &mut B) -> u16
where
    W: Stream<Item = Result<WorkerMessage, tungstenite::Error>> + Unpin,
    B: Sink<Message> + Unpin,
{
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = worker.next() => message,
            _ = ping.tick() => Some(Ok(WorkerMessage::Ping(Vec::new().into()))),
        };
        let message = match message {
            Some(Ok(WorkerMessage::Binary(bytes))) => Message::Binary(bytes),
            Some(Ok(WorkerMessage::Text(text))) => Message::Text(text.as_str().into()),
            Some(Ok(WorkerMessage::Ping(_))) => Message::Ping(Vec::new().into()),
            Some(Ok(WorkerMessage::Close(frame))) => return frame.map_or(close::AGAIN, |frame| frame.code.into()),
            Some(Ok(_)) => continue,
            // The connection to the worker was lost.
            Some(Err(_)) | None => return close::AGAIN,
        };
        if !timeout(WRITE_LIMIT, browser.send(message)).await.is_ok_and(|sent| sent.is_ok()) {
            return close::AGAIN;
        }
    }
}

fn is_too_big(error: axum::Error) -> bool {
    let error = error.into_inner();
    matches!(error.downcast_ref(), Some(tungstenite::Error::Capacity(_)))
}
