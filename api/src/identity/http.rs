//! Requests to the provider of identities: bounded in time and size, no redirect followed, no proxy asked.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Url;

const LIMIT: Duration = Duration::from_secs(8);
const MAX_BYTES: usize = 512 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("{0} is not an https address (plain http is for this machine only)")]
    Address(Url),
    #[error("{0} did not answer in time")]
    Timeout(Url),
    #[error("{0} answered {1}")]
    Status(Url, u16),
    #[error("{0} could not be asked")]
    Failed(Url, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A request: GET without a body, POST of a form with one.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) url: &'a Url,
    pub(super) authorization: Option<String>,
    pub(super) form: Option<String>,
}

/// The body of a 200.
pub(super) async fn fetch(call: Call<'_>) -> Result<Bytes, HttpError> {
    let url = call.url;
    let answer = timeout(LIMIT, attempt(&call)).await.map_err(|_| HttpError::Timeout(url.clone()))?;
    let (status, body) = answer.map_err(|error| match error.downcast::<HttpError>() {
        Ok(own) => *own,
        Err(error) => HttpError::Failed(url.clone(), error),
    })?;
    if status == 200 { Ok(body) } else { Err(HttpError::Status(url.clone(), status)) }
}

type Anything = Box<dyn std::error::Error + Send + Sync>;

async fn attempt(call: &Call<'_>) -> Result<(u16, Bytes), Anything> {
    let url = call.url;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let here = ["127.0.0.1", "::1", "localhost"].contains(&host.as_str());
    if !(url.scheme() == "https" || (url.scheme() == "http" && here)) {
        return Err(HttpError::Address(url.clone()).into());
    }
    let port = url.port_or_known_default().unwrap_or(443);
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    let stream: Box<dyn Stream> = if url.scheme() == "https" {
        Box::new(TlsConnector::from(Arc::new(tls()?)).connect(ServerName::try_from(host)?, stream).await?)
    } else {
        Box::new(stream)
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the answer has been read.
    tokio::spawn(connection);
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = Request::builder()
        .method(if call.form.is_some() { Method::POST } else { Method::GET })
        .uri(target)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "clawdeploy");
    if let Some(authorization) = &call.authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    if call.form.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let body = Full::new(Bytes::from(call.form.clone().unwrap_or_default()));
    let answer = sender.send_request(request.body(body)?).await?;
    let status = answer.status().as_u16();
    Ok((status, Limited::new(answer.into_body(), MAX_BYTES).collect().await?.to_bytes()))
}

fn tls() -> Result<ClientConfig, Anything> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this machine trusts no authority; install ca-certificates".into());
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
