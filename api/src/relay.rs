//! Between a browser and the worker that holds its terminal: each message as it is, and both watched for signs of life.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use clawdeploy_shared::rpc::terminal::{FromServer, close, text};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::{self, Message as WorkerMessage};
use tokio_util::sync::CancellationToken;

use crate::rpc::socket::WorkerSocket;

/// Between two signs of life.
const PING: Duration = Duration::from_secs(20);
/// Without any for so long, a browser is taken for dead.
const DEAD_AFTER: Duration = Duration::from_secs(50);
/// How long a side may take for one message.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// How long a browser may take to say farewell too. A connection that is closed with something unread loses what was sent.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// Passes messages until one side ends; the code is what the browser is closed with, if it is still there.
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

/// Tells why, and closes.
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

/// What a browser says; `None`: it is gone.
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

/// What a worker says, until it has said what the browser is to be closed with.
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
            // The worker was lost.
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
