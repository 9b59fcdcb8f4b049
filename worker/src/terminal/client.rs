//! A WebSocket attached to a terminal.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use clawdeploy_shared::rpc::terminal::{FromServer, close, text};
use futures_util::{SinkExt as _, StreamExt as _, stream::SplitStream};
use tokio::{
    sync::mpsc::{self, OwnedPermit, Sender},
    time::{Instant, timeout},
};

/// Most messages buffered for the socket.
const QUEUE: usize = 4;
/// Time limit for sending one message.
const WRITE_LIMIT: Duration = Duration::from_secs(30);
/// How long the other side may take to close too. Closing a socket with unread data loses what was sent.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);
/// Delay between two pings.
pub(super) const PING: Duration = Duration::from_secs(20);
/// A client silent for this long counts as dead.
const DEAD_AFTER: Duration = Duration::from_secs(50);

#[derive(Debug)]
pub(super) struct Client {
    out: Sender<Message>,
    input: SplitStream<WebSocket>,
    /// Offset up to which output was sent.
    pub(super) sent: u64,
    /// Offset up to which it was acknowledged. Output from before the attach needs no acknowledgement.
    pub(super) acked: u64,
    /// When the client was last heard.
    heard_at: Instant,
    pub(super) ping_at: Instant,
}

/// The messages from a client.
#[derive(Debug)]
pub(super) struct Said<'a> {
    input: &'a mut SplitStream<WebSocket>,
    heard_at: &'a mut Instant,
}

impl Said<'_> {
    /// Its next message. `None`: it is gone.
    pub(super) async fn next(said: Option<Self>) -> Option<Message> {
        let Some(said) = said else { return std::future::pending().await };
        let message = said.input.next().await?.ok()?;
        *said.heard_at = Instant::now();
        Some(message)
    }
}

/// Waits for room for one message. `None`: the recipient is gone.
pub(super) async fn room(out: Option<&Sender<Message>>) -> Option<OwnedPermit<Message>> {
    let Some(out) = out else { return std::future::pending().await };
    out.clone().reserve_owned().await.ok()
}

impl Client {
    /// Greets the client and announces the output between `from` and `end`.
    pub(super) fn greet(socket: WebSocket, from: u64, end: u64, reset: bool) -> Self {
        let (mut sink, input) = socket.split();
        let (out, mut queue) = mpsc::channel::<Message>(QUEUE);
        tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                let last = matches!(message, Message::Close(_));
                let sent = timeout(WRITE_LIMIT, sink.send(message)).await;
                if last || !sent.is_ok_and(|sent| sent.is_ok()) {
                    break;
                }
            }
        });
        let hello = FromServer::Hello { offset: from, reset, replay: end.saturating_sub(from) };
        let now = Instant::now();
        let client = Self { out, input, sent: from, acked: end, heard_at: now, ping_at: now + PING };
        client.try_tell(&hello);
        client
    }

    /// Both directions, to be awaited at once.
    pub(super) fn halves(&mut self) -> (&Sender<Message>, Said<'_>) {
        (&self.out, Said { input: &mut self.input, heard_at: &mut self.heard_at })
    }

    /// Sends a message if there is room.
    pub(super) fn try_tell(&self, message: &FromServer) {
        let _ = self.out.try_send(Message::Text(text(message).into()));
    }

    /// Sends a ping. False: the client was silent for too long.
    pub(super) fn ping(&mut self, now: Instant) -> bool {
        self.ping_at = now + PING;
        let _ = self.out.try_send(Message::Ping(Vec::new().into()));
        now.duration_since(self.heard_at) < DEAD_AFTER
    }

    /// Sends a last message and closes, in the background.
    pub(super) fn farewell(mut self, word: Option<FromServer>, code: u16) {
        tokio::spawn(timeout(FAREWELL_LIMIT, async move {
            if let Some(word) = word {
                let _ = self.out.send(Message::Text(text(&word).into())).await;
            }
            let frame = CloseFrame { code, reason: "".into() };
            let _ = self.out.send(Message::Close(Some(frame))).await;
            while let Some(Ok(_)) = self.input.next().await {}
        }));
    }

    /// Closes it because another client takes its place.
    pub(super) fn replaced(self) {
        let message = "The terminal was opened in another window.".to_owned();
        self.farewell(Some(FromServer::Error { code: "attached_elsewhere".to_owned(), message }), close::ELSEWHERE);
    }

    /// Closes it because it acknowledged nothing for too long.
    pub(super) fn stalled(self) {
        let message = "This window did not keep up and was detached. The terminal is still open.".to_owned();
        self.farewell(Some(FromServer::Error { code: "stalled".to_owned(), message }), close::STALLED);
    }
}
