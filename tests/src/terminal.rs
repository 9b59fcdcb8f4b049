//! A client of terminals like the panel's: an attached WebSocket, the output so far, and the messages so far.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use crate::Client;

const PROTOCOL: &str = "clawdeploy-term.v1";
/// Bytes of output after which it acknowledges.
const ACK: u64 = 64 << 10;
/// Time limit of all operations, on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// An attached WebSocket.
#[derive(Debug)]
pub struct Terminal {
    socket: WebSocketStream<TcpStream>,
    /// Offset after the last byte that was received.
    pub offset: u64,
    /// Output since the test last cleared it.
    pub output: Vec<u8>,
    /// Messages in JSON.
    pub told: Vec<Value>,
    /// Close code.
    pub closed: Option<u16>,
    /// Whether output is acknowledged.
    pub acks: bool,
    acked: u64,
}

/// Parameters of an attachment.
#[derive(Debug, Clone)]
pub struct Attach<'a> {
    /// Address of the API.
    pub base: &'a str,
    pub path: String,
    pub origin: Option<&'a str>,
    pub ticket: Option<&'a str>,
    /// API token.
    pub token: Option<&'a str>,
}

impl Attach<'_> {
    /// Opens the WebSocket. Fails with the status and code if the API refuses.
    pub async fn open(self) -> Result<Terminal, (u16, String)> {
        let address = self.base.trim_start_matches("http://");
        let mut request = format!("ws://{address}{}", self.path).into_client_request().expect("a request");
        let headers = request.headers_mut();
        let protocols = self.ticket.map_or(PROTOCOL.to_owned(), |ticket| format!("{PROTOCOL}, ticket.{ticket}"));
        headers.insert("sec-websocket-protocol", protocols.parse().expect("a header"));
        if let Some(origin) = self.origin {
            headers.insert("origin", origin.parse().expect("a header"));
        }
        if let Some(token) = self.token {
            headers.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        }
        let stream = TcpStream::connect(address).await.map_err(|error| (0, error.to_string()))?;
        stream.set_nodelay(true).expect("a socket");
        match timeout(SOON, client_async(request, stream)).await.expect("an answer in time") {
            Ok((socket, response)) => {
                let chosen = response.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
                assert_eq!(chosen, Some(PROTOCOL), "the ticket is not repeated");
                let (output, told) = (Vec::new(), Vec::new());
                Ok(Terminal { socket, offset: 0, output, told, closed: None, acks: true, acked: 0 })
            }
            Err(tungstenite::Error::Http(response)) => {
                let body: Value =
                    serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap_or_default();
                Err((response.status().as_u16(), body["code"].as_str().unwrap_or_default().to_owned()))
            }
            Err(error) => Err((0, error.to_string())),
        }
    }
}

/// Opens a terminal and returns its id and its ticket.
pub async fn open(client: &Client, instance: &str, form: &Value) -> (String, String) {
    let answer = client.post(&format!("/api/instances/{instance}/terminals"), form).await.expect(201).json;
    let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    (text("terminalId"), text("ticket"))
}

/// Another ticket for a terminal.
pub async fn ticket(client: &Client, terminal: &str) -> String {
    let answer = client.post_empty(&format!("/api/terminals/{terminal}/ticket")).await.expect(200).json;
    answer["ticket"].as_str().unwrap_or_default().to_owned()
}

impl Terminal {
    /// Attaches with a ticket like the panel, and reads the greeting.
    pub async fn attach(base: &str, id: &str, ticket: &str, from: Option<u64>) -> Self {
        let from = from.map_or(String::new(), |from| format!("?from={from}"));
        let path = format!("/api/terminals/{id}/ws{from}");
        let attach = Attach { base, path, origin: Some(base), ticket: Some(ticket), token: None };
        let mut terminal = attach.open().await.expect("a terminal");
        terminal.greeted().await;
        terminal
    }

    /// Opens a terminal and attaches to it.
    pub async fn new(client: &Client, base: &str, instance: &str) -> (Self, String) {
        let (id, ticket) = open(client, instance, &json!({ "cols": 100, "rows": 30 })).await;
        (Self::attach(base, &id, &ticket, None).await, id)
    }

    /// Reads the greeting, which must come first.
    pub async fn greeted(&mut self) {
        while self.told.is_empty() && self.read().await {}
        let hello = self.told.first().cloned().unwrap_or_default();
        assert_eq!(hello["type"], "hello", "{hello} {:?}", self.closed);
        self.offset = hello["offset"].as_u64().expect("an offset");
        self.acked = self.offset;
    }

    /// Sends input.
    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.socket.send(Message::Binary(text.as_ref().to_vec().into())).await.expect("an open terminal");
    }

    /// Sends input and ignores errors.
    pub async fn try_send(&mut self, text: Vec<u8>) {
        let _ = timeout(SOON, self.socket.send(Message::Binary(text.into()))).await;
    }

    /// Sends a message in JSON.
    pub async fn say(&mut self, message: &Value) {
        self.socket.send(Message::Text(message.to_string().into())).await.expect("an open terminal");
    }

    /// Reads the next message. False: the connection has ended.
    pub async fn read(&mut self) -> bool {
        match self.socket.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                self.offset += bytes.len() as u64;
                self.output.extend_from_slice(&bytes);
                if self.acks && self.offset - self.acked >= ACK {
                    self.acked = self.offset;
                    let _ = self
                        .socket
                        .send(Message::Text(json!({ "type": "ack", "offset": self.offset }).to_string().into()))
                        .await;
                }
            }
            Some(Ok(Message::Text(text))) => self.told.push(serde_json::from_str(&text).expect("JSON")),
            Some(Ok(Message::Close(frame))) => {
                self.closed = frame.map(|frame| frame.code.into());
                let _ = self.socket.flush().await;
                return false;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return false,
        }
        true
    }

    /// Reads until nothing has come for half a second: the program is blocked, since nothing is acknowledged.
    pub async fn read_until_blocked(&mut self) {
        assert!(!self.acks);
        while let Ok(open) = timeout(Duration::from_millis(500), self.read()).await {
            assert!(open, "cut off by the server: {:?}", self.closed);
        }
    }

    /// Reads until `found` returns something for the output so far.
    #[track_caller]
    pub fn until<'a, T: 'a>(
        &'a mut self,
        what: &'a str,
        mut found: impl FnMut(&str) -> Option<T> + 'a,
    ) -> impl Future<Output = T> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + SOON;
            loop {
                if let Some(found) = found(&String::from_utf8_lossy(&self.output)) {
                    return found;
                }
                let read = tokio::time::timeout_at(deadline, self.read()).await;
                if read != Ok(true) {
                    let tail = &self.output[self.output.len().saturating_sub(600)..];
                    let tail = String::from_utf8_lossy(tail);
                    panic!(
                        "{place}: no {what} ({read:?}); closed {:?}, told {:?}, printed {tail:?}",
                        self.closed, self.told
                    );
                }
            }
        }
    }

    /// Reads until the output contains this text.
    #[track_caller]
    pub fn expect<'a>(&'a mut self, text: &'a str) -> impl Future<Output = ()> + 'a {
        self.until(text, move |output| output.contains(text).then_some(()))
    }

    /// Turns off prompt and echo, so that the output is only what commands print.
    pub async fn quiet(&mut self) {
        self.send(" PS1=; bind 'set enable-bracketed-paste off'; stty -echo; printf 'quiet%s\\n' ly\n").await;
        self.expect("quietly").await;
        self.output.clear();
    }

    /// Output of a command, after [`Self::quiet`].
    pub async fn run(&mut self, command: &str) -> String {
        self.output.clear();
        self.send(format!("{command}; printf 'END%s\\n' OF\n")).await;
        let said = self.until(command, |output| output.split_once("ENDOF").map(|(said, _)| said.to_owned())).await;
        self.output.clear();
        said.replace("\r\n", "\n")
    }

    /// Reads to the end and returns the close code.
    pub async fn ended(&mut self) -> Option<u16> {
        let all = async { while self.read().await {} };
        timeout(SOON, all).await.expect("the end in time");
        self.closed
    }

    /// The first message of this type.
    pub fn told(&self, kind: &str) -> Option<&Value> {
        self.told.iter().find(|told| told["type"] == kind)
    }
}
