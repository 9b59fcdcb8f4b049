//! The engine's image build, over its socket.
//!
//! Implemented here because the client library opens a gRPC session for BuildKit, which the engine does not need when
//! the context comes with the request, and it wants the context in memory.

use std::{io, pin::Pin, time::Duration};

use bollard::errors::Error as BollardError;
use bytes::{Buf as _, Bytes};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    Request, StatusCode,
    body::{Body, Frame, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{fs::File, io::AsyncReadExt as _, net::UnixStream, task::JoinHandle, time::timeout};

use super::{
    client::{Docker, READ_LIMIT},
    error::DockerError,
};

const OPERATION: &str = "build the image";
/// Time limit for the engine's answer, which comes after it has read a possibly large context.
const ANSWER_LIMIT: Duration = Duration::from_mins(5);
/// Longest message of the engine, in bytes.
const MESSAGE_CAP: usize = 8 << 20;
/// Most bytes read of an error's body.
const ERROR_CAP: usize = 64 << 10;
const CHUNK: usize = 64 << 10;

/// One message of a build.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BuildMessage {
    /// Output of the classic builder, cut anywhere.
    pub(crate) stream: Option<String>,
    pub(crate) error: Option<String>,
    /// The kind of `aux`. Absent for the classic builder's image id.
    pub(crate) id: Option<String>,
    /// `{"ID": "sha256:…"}`, or BuildKit's progress in base64.
    pub(crate) aux: Option<serde_json::Value>,
}

/// A running build. Dropping it closes the connection, and the engine stops.
#[derive(Debug)]
pub(crate) struct RunningBuild {
    body: Incoming,
    buffer: Vec<u8>,
    _connection: Connection,
}

#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type ContextBody = StreamBody<Pin<Box<dyn futures_util::Stream<Item = io::Result<Frame<Bytes>>> + Send>>>;

impl Docker {
    /// Starts a build of the tar archive `context` with these parameters of the engine's `POST /build`.
    pub(crate) async fn start_build(
        &self,
        parameters: &[(&str, String)],
        context: File,
    ) -> Result<RunningBuild, DockerError> {
        let version = self.engine().await?.api_version;
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let begin = async {
            let size = context.metadata().await?.len();
            let socket = UnixStream::connect(self.socket()).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
            let connection = Connection(tokio::spawn(async move {
                // The reader of the answer sees how it ended.
                let _ = connection.await;
            }));
            let request = Request::post(format!("/v{version}/build?{query}"))
                .header(header::HOST, "docker")
                .header(header::CONTENT_TYPE, "application/x-tar")
                .header(header::CONTENT_LENGTH, size)
                .body(body(context))
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let mut running = RunningBuild { body: answer.into_body(), buffer: Vec::new(), _connection: connection };
            if status != StatusCode::OK {
                let message = timeout(READ_LIMIT, running.refusal()).await.unwrap_or_default();
                return Err(BollardError::DockerResponseServerError { status_code: status.as_u16(), message });
            }
            Ok(running)
        };
        self.run(OPERATION, ANSWER_LIMIT, begin).await
    }
}

impl RunningBuild {
    /// The next message. `None` at the end.
    pub(crate) async fn next(&mut self, docker: &Docker) -> Result<Option<BuildMessage>, DockerError> {
        self.read().await.map_err(|error| docker.failed(OPERATION, error))
    }

    async fn read(&mut self) -> Result<Option<BuildMessage>, BollardError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if self.buffer.len() > MESSAGE_CAP {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an unterminated message").into());
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(mut data) = frame?.into_data() {
                        self.buffer.extend_from_slice(data.chunk());
                        data.advance(data.len());
                    }
                }
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => self.buffer.push(b'\n'),
            }
        }
    }

    /// Why the engine did not start.
    async fn refusal(&mut self) -> String {
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        let mut text = Vec::new();
        while let Some(Ok(frame)) = self.body.frame().await {
            text.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
            if text.len() > ERROR_CAP {
                break;
            }
        }
        serde_json::from_slice::<Refusal>(&text)
            .map_or_else(|_| String::from_utf8_lossy(&text).into_owned(), |refusal| refusal.message)
    }
}

/// A file as a streamed request body.
fn body(file: File) -> impl Body<Data = Bytes, Error = io::Error> + Send + 'static {
    let pieces = stream::unfold(Some(file), async |file| {
        let mut file = file?;
        let mut piece = vec![0; CHUNK];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(Frame::data(Bytes::from(piece))), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    let boxed: ContextBody = StreamBody::new(Box::pin(pieces));
    boxed
}
