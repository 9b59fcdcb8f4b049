//! One terminal: a task with its streams, its output and the attached WebSocket.
//!
//! Output goes into the replay buffer first and from there to the client, which is behind by some offset. So replaying
//! works like normal sending. Small output is sent at once, to keep echoes fast. Large output is gathered to fill a
//! message.
//!
//! Reading from the program stops while [`WINDOW`] bytes are unacknowledged, so that Ctrl-C works at once even with a
//! slow browser. It does not stop for long, because a container with an unread terminal takes ten seconds to stop. A
//! client that acknowledges nothing is detached, and the output then only goes into the replay buffer.

use std::{collections::VecDeque, io};

use axum::extract::ws::{Message, WebSocket};
use bytes::{Buf as _, Bytes};
use clawdeploy_shared::rpc::terminal::{FromClient, FromServer, Size, TerminalEnd, WINDOW};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    sync::mpsc::{OwnedPermit, Receiver},
    time::{Instant, sleep_until},
};

use super::{
    client::{Client, Said, room},
    clocks::Clocks,
    replay::{CAP, ReplayBuffer},
    shell::{Opened, Shell},
};
use crate::config::TerminalLimits;

/// Longest message of output, in bytes.
const MESSAGE: usize = 64 << 10;
/// Output of less than this is sent without waiting for more, in bytes.
const SMALL: u64 = 2 << 10;
/// Size of one read from the program, in bytes.
const READ: usize = 32 << 10;
/// Most input buffered for the program, in bytes. Beyond that the WebSocket is not read.
const INPUT_CAP: usize = 1 << 20;
/// Orders to a session.
#[derive(Debug)]
pub(super) enum Order {
    Attach { socket: Box<WebSocket>, from: Option<u64> },
    End(TerminalEnd),
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) reason: TerminalEnd,
    pub(super) exit_code: Option<i64>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

/// A terminal's task.
#[derive(Debug)]
pub(super) struct Session {
    shell: Shell,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    limits: TerminalLimits,
    /// Where reads put the program's output.
    scratch: Box<[u8]>,
    replay: ReplayBuffer,
    client: Option<Client>,
    input: VecDeque<Bytes>,
    /// Bytes in `input`.
    waiting: usize,
    bytes_in: u64,
    /// The program has ended.
    ended: bool,
    /// Its exit code, if known.
    exit_code: Option<i64>,
    clocks: Clocks,
}

/// What happened.
enum Event {
    Order(Option<Order>),
    Said(Option<Message>),
    Wrote(io::Result<usize>),
    Room(Option<OwnedPermit<Message>>),
    Read(io::Result<usize>),
    Due,
}

impl Session {
    pub(super) fn new(opened: Opened, limits: TerminalLimits) -> Self {
        let (read, write) = opened.stream.into_split();
        let mut replay = ReplayBuffer::default();
        replay.push(&opened.first);
        Self {
            shell: opened.shell,
            read,
            write,
            limits,
            scratch: vec![0; READ].into(),
            replay,
            client: None,
            input: VecDeque::new(),
            waiting: 0,
            bytes_in: 0,
            ended: false,
            exit_code: None,
            clocks: Clocks::new(Instant::now()),
        }
    }

    /// Runs until the terminal has ended. The caller then ends what is left of the program.
    pub(super) async fn run(mut self, mut orders: Receiver<Order>) -> Outcome {
        let reason = loop {
            let now = Instant::now();
            if let Some(reason) = self.look(now) {
                break reason;
            }
            match self.event(now, &mut orders).await {
                Event::Order(Some(Order::Attach { socket, from })) => self.attach(*socket, from),
                Event::Order(Some(Order::End(reason))) => break reason,
                Event::Order(None) => break TerminalEnd::Draining,
                Event::Said(Some(message)) => {
                    if self.heard(message) {
                        break TerminalEnd::Closed;
                    }
                }
                Event::Said(None) | Event::Room(None) => self.detach(),
                Event::Wrote(Ok(written)) => self.wrote(written),
                Event::Room(Some(permit)) => self.send(permit),
                Event::Read(Ok(read)) if read > 0 => self.keep(read),
                Event::Read(_) => self.over().await,
                // The program has ended. Its last output tells more.
                Event::Wrote(Err(_)) => self.forget_input(),
                Event::Due => {}
            }
        };
        self.end(reason).await
    }

    /// Whether more may be read from the program.
    fn may_read(&self) -> bool {
        let Some(client) = &self.client else { return !self.ended };
        let end = self.replay.end();
        // A program that blocks on its output does not read its input, and the acknowledgement may be behind that.
        let within = end - client.acked < WINDOW || self.waiting >= INPUT_CAP;
        // Unsent output is not overwritten.
        !self.ended && within && end + READ as u64 <= client.sent + CAP as u64
    }

    /// Number of unsent bytes of output.
    fn unsent(&self) -> u64 {
        self.client.as_ref().map_or(0, |client| self.replay.end() - client.sent)
    }

    /// Handles the timers. Returns a reason if the terminal must end.
    fn look(&mut self, now: Instant) -> Option<TerminalEnd> {
        let may_read = self.may_read();
        if self.clocks.is_stalled(now, may_read || self.ended)
            && let Some(client) = self.client.take()
        {
            client.stalled();
            self.clocks.detached_at = Some(now);
        }
        if let Some(client) = &mut self.client
            && now >= client.ping_at
            && !client.ping(now)
        {
            self.detach();
        }
        if self.ended && self.client.is_some() && self.unsent() == 0 {
            return Some(TerminalEnd::Exited);
        }
        let (due, warning) = self.clocks.due(now, self.limits);
        if let (Some(warning), Some(client)) = (warning, &self.client) {
            client.try_tell(&warning);
        }
        due
    }

    async fn event(&mut self, now: Instant, orders: &mut Receiver<Order>) -> Event {
        let unsent = self.unsent();
        let may_read = self.may_read();
        let throttled = self.client.is_none() && self.clocks.read_at.is_some_and(|at| at > now);
        let gathered = self.clocks.flush_at.is_none_or(|at| at <= now);
        let full = unsent >= MESSAGE as u64 || !may_read;
        let ready = unsent > 0 && (unsent < SMALL || gathered || full);
        let takes_input = self.waiting < INPUT_CAP;
        let due = self.clocks.next(now, self.limits, self.client.as_ref().map(|client| client.ping_at));
        let (client, write) = (&mut self.client, &mut self.write);
        let attached = client.is_some();
        let (out, said) = match client {
            Some(client) => {
                let (out, said) = client.halves();
                (Some(out), Some(said))
            }
            None => (None, None),
        };
        let front = self.input.front().map(|piece| &piece[..]).unwrap_or_default();
        tokio::select! {
            biased;
            order = orders.recv() => Event::Order(order),
            message = Said::next(said), if attached && takes_input => Event::Said(message),
            written = write.write(front), if !front.is_empty() && !self.ended => Event::Wrote(written),
            room = room(out), if ready && attached => Event::Room(room),
            read = self.read.read(&mut self.scratch), if may_read && !throttled => Event::Read(read),
            () = sleep_until(due) => Event::Due,
        }
    }

    /// Keeps the bytes that were just read from the program.
    fn keep(&mut self, read: usize) {
        self.replay.push(&self.scratch[..read]);
        let now = Instant::now();
        self.clocks.read(now, read, self.client.is_some(), self.unsent() >= SMALL);
    }

    /// Handles the end of the program.
    async fn over(&mut self) {
        self.forget_input();
        self.clocks.ended_at = Some(Instant::now());
        self.ended = true;
        self.exit_code = self.shell.exit_code().await;
    }

    fn send(&mut self, permit: OwnedPermit<Message>) {
        let Some(client) = &mut self.client else { return };
        let piece = self.replay.read(client.sent, MESSAGE);
        client.sent += piece.len() as u64;
        self.clocks.flush_at = None;
        permit.send(Message::Binary(piece.into()));
    }

    fn attach(&mut self, socket: WebSocket, from: Option<u64>) {
        if let Some(before) = self.client.take() {
            before.replaced();
        }
        let (start, end) = (self.replay.start(), self.replay.end());
        let known = from.filter(|from| (start..=end).contains(from));
        let offset = known.unwrap_or_else(|| self.replay.beginning());
        self.client = Some(Client::greet(socket, offset, end, known.is_none()));
        self.clocks.attached();
    }

    fn detach(&mut self) {
        self.client = None;
        self.clocks.detached_at = Some(Instant::now());
    }

    /// Handles a client's message. True: the terminal must end.
    fn heard(&mut self, message: Message) -> bool {
        match message {
            Message::Binary(bytes) => {
                self.clocks.typed(Instant::now());
                if !self.ended && !bytes.is_empty() {
                    self.waiting += bytes.len();
                    self.bytes_in += bytes.len() as u64;
                    self.input.push_back(bytes);
                }
            }
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(FromClient::Ack { offset }) => {
                    if let Some(client) = &mut self.client
                        && offset > client.acked
                    {
                        client.acked = offset.min(client.sent);
                        self.clocks.blocked_at = None;
                    }
                }
                Ok(FromClient::Resize { cols, rows }) => self.shell.resize(Size { cols, rows }.clamped()),
                Ok(FromClient::Close) => return true,
                // A message of a later version, or garbage. Not worth ending the terminal.
                Err(_) => {}
            },
            Message::Close(_) => self.detach(),
            Message::Ping(_) | Message::Pong(_) => {}
        }
        false
    }

    fn wrote(&mut self, written: usize) {
        self.waiting = self.waiting.saturating_sub(written);
        if let Some(front) = self.input.front_mut() {
            front.advance(written.min(front.len()));
            if front.is_empty() {
                self.input.pop_front();
            }
        }
    }

    fn forget_input(&mut self) {
        self.input.clear();
        self.waiting = 0;
    }

    async fn end(self, reason: TerminalEnd) -> Outcome {
        let exit_code = self.exit_code;
        let reason = match reason {
            // A program that ended with its container did not exit by itself.
            TerminalEnd::Exited if !self.shell.container_runs(exit_code).await => TerminalEnd::Stopped,
            other => other,
        };
        if let Some(client) = self.client {
            let word = match reason {
                TerminalEnd::Exited => FromServer::Exit { code: exit_code },
                other => FromServer::Error { code: other.to_string(), message: other.message().to_owned() },
            };
            client.farewell(Some(word), reason.close_code());
        }
        Outcome { reason, exit_code, bytes_in: self.bytes_in, bytes_out: self.replay.end() }
    }
}
