//! A connection to a gateway, and OpenClaw's protocol on it: JSON in text messages. Requests have an id that the
//! response repeats; events come in between.

use std::fmt;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, header::HeaderName},
        protocol::WebSocketConfig,
    },
};

use super::{
    Failure, Link,
    device::{Challenge, Scope},
};
use crate::{probe::PROBE_CLIENT, runtime::printed::clean};

/// Largest message, in bytes. OpenClaw's greeting has 15 KiB.
const MESSAGE_CAP: usize = 1 << 20;
/// Most messages that are read on one connection.
const MESSAGES: u32 = 64;
/// Longest code of a refusal that is noted, in characters.
const CODE_CAP: usize = 60;

pub(super) struct Session {
    socket: WebSocketStream<TcpStream>,
    /// Requests so far.
    requests: u32,
    /// Messages that may still be read.
    messages: u32,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("requests", &self.requests).finish_non_exhaustive()
    }
}

/// The needed fields of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Frame {
    event: Option<String>,
    id: Option<String>,
    ok: bool,
    payload: Value,
    error: Value,
}

impl Session {
    /// Connects as our device.
    pub(super) async fn open(link: &Link, scope: Scope) -> Result<Self, Failure> {
        let mut request = format!("ws://{}/", link.address).into_client_request()?;
        if link.proxied {
            let client = HeaderValue::from_static(PROBE_CLIENT);
            request.headers_mut().insert(HeaderName::from_static("x-forwarded-for"), client);
        }
        let stream = TcpStream::connect(link.address).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_CAP)).max_frame_size(Some(MESSAGE_CAP));
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        let mut session = Self { socket, requests: 0, messages: MESSAGES };
        let challenge = session.find(|frame| frame.event.as_deref() == Some("connect.challenge")).await?.payload;
        let challenge: Challenge = serde_json::from_value(challenge)?;
        let params = link.device.connect(&challenge, &link.token, scope).ok_or(Failure::TooMuch)?;
        session.call("connect", &params).await?;
        Ok(session)
    }

    /// Calls a method and waits for its response.
    pub(super) async fn call(&mut self, method: &str, params: &Value) -> Result<Value, Failure> {
        self.requests += 1;
        let id = self.requests.to_string();
        let request = json!({ "type": "req", "id": id, "method": method, "params": params }).to_string();
        self.socket.send(Message::text(request)).await?;
        let Frame { ok, payload, error, .. } = self.find(|frame| frame.id.as_deref() == Some(&id)).await?;
        if ok { Ok(payload) } else { Err(refused(&error)) }
    }

    /// Says goodbye. It does not matter whether that arrives.
    pub(super) async fn close(mut self) {
        let _ = self.socket.close(None).await;
    }

    /// The next message that fits. Others are skipped.
    async fn find(&mut self, fits: impl Fn(&Frame) -> bool) -> Result<Frame, Failure> {
        loop {
            self.messages = self.messages.checked_sub(1).ok_or(Failure::TooMuch)?;
            let text = match self.socket.next().await.ok_or(Failure::Closed)?? {
                Message::Text(text) => text,
                Message::Close(_) => return Err(Failure::Closed),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            let frame: Frame = serde_json::from_str(&text)?;
            if fits(&frame) {
                return Ok(frame);
            }
        }
    }
}

/// An error of the gateway. A request for pairing that was not made for us does no harm: the tenant can approve any.
fn refused(error: &Value) -> Failure {
    let details = &error["details"];
    if error["code"] == "NOT_PAIRED"
        && let Some(request) = details["requestId"].as_str().and_then(|id| id.parse().ok())
    {
        return Failure::NotPaired(request);
    }
    let code = details["code"].as_str().or(error["code"].as_str()).unwrap_or("no code");
    Failure::Refused(clean(code).chars().take(CODE_CAP).collect())
}

impl From<tungstenite::Error> for Failure {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}
