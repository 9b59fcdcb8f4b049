//! WebSockets to workers, for attaching to terminals.

use std::time::Duration;

use clawdeploy_shared::{
    db::{terminal::Terminal, worker},
    rpc::signature::Call,
    rpc::{
        Address, Verb,
        terminal::{ARGUMENTS_HEADER, AttachArguments},
    },
};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, client::IntoClientRequest as _, protocol::WebSocketConfig},
};

use super::WorkerRpc;
use crate::error::{AppError, AppResult};

/// Time limit for connecting, including the WebSocket handshake.
const LIMIT: Duration = Duration::from_secs(5);
/// Maximum size of a worker's message, in bytes.
const MESSAGE_CAP: usize = 1 << 20;

/// A TCP or Unix connection.
pub trait Connection: std::fmt::Debug + AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: std::fmt::Debug + AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A WebSocket to a worker.
pub type WorkerSocket = WebSocketStream<Box<dyn Connection>>;

/// Why attaching failed.
#[derive(Debug, thiserror::Error)]
enum Unattached {
    #[error("the worker cannot be reached")]
    Connection(#[from] std::io::Error),
    #[error("the worker refused")]
    Handshake(#[from] Box<tungstenite::Error>),
    #[error("the worker took too long")]
    TooSlow,
}

/// Result of attaching to a terminal.
#[derive(Debug)]
pub enum Attached {
    To(Box<WorkerSocket>),
    /// The worker no longer holds the terminal, or there is no such worker.
    Gone,
    /// The worker cannot be reached at the moment.
    Unreachable,
}

impl WorkerRpc {
    /// Attaches to a terminal at the worker that holds it. Output is sent from offset `from` on.
    pub async fn attach(&self, terminal: &Terminal, from: Option<u64>) -> AppResult<Attached> {
        let address = worker::address_of(&mut *self.db.conn().await?, &terminal.worker).await?;
        let Some(Ok(address)) = address.map(|address| address.parse::<Address>()) else { return Ok(Attached::Gone) };
        let arguments = AttachArguments { terminal_id: terminal.id, from };
        let arguments = serde_json::to_string(&arguments).map_err(AppError::internal)?;
        let attached = timeout(LIMIT, self.socket(terminal, &address, &arguments)).await;
        match attached.unwrap_or(Err(Unattached::TooSlow)) {
            Ok(socket) => Ok(Attached::To(Box::new(socket))),
            Err(Unattached::Handshake(error)) if is_missing(&error) => Ok(Attached::Gone),
            Err(error) => {
                let error = clawdeploy_shared::telemetry::chain(&error);
                tracing::warn!(terminal = %terminal.id, worker = terminal.worker, error, "Could not attach to a terminal");
                Ok(Attached::Unreachable)
            }
        }
    }

    async fn socket(
        &self,
        terminal: &Terminal,
        address: &Address,
        arguments: &str,
    ) -> Result<WorkerSocket, Unattached> {
        let verb = Verb::AttachTerminal;
        let call =
            Call { worker: &terminal.worker, instance: &terminal.instance_id, verb, arguments: arguments.as_bytes() };
        let signature = self.call_key.sign(call);
        let url = format!("ws://worker/v1/instances/{}/{verb}", terminal.instance_id);
        let mut request = url.into_client_request().map_err(Box::new)?;
        let header = |value: &str| HeaderValue::from_str(value).map_err(std::io::Error::other);
        request.headers_mut().insert(AUTHORIZATION, header(&format!("Bearer {signature}"))?);
        request.headers_mut().insert(ARGUMENTS_HEADER, header(arguments)?);
        let connection: Box<dyn Connection> = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_CAP))
            .max_frame_size(Some(MESSAGE_CAP))
            .write_buffer_size(0);
        let (socket, _) = client_async_with_config(request, connection, Some(config)).await.map_err(Box::new)?;
        Ok(socket)
    }
}

fn is_missing(error: &tungstenite::Error) -> bool {
    matches!(error, tungstenite::Error::Http(response) if response.status().as_u16() == 404)
}
