//! HTTP to where a setting leads, and nowhere else.
//!
//! The name is resolved once and every address is looked at; the connection goes to one of just those. No redirect is
//! followed and no proxy asked, so nothing else decides where it ends. Answers are bounded in size and time.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::error::BuildError;

const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A server packs what is asked for before it answers.
const ANSWER_LIMIT: Duration = Duration::from_mins(3);
/// Between two pieces of an answer.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);

/// A server that may be talked to.
#[derive(Debug)]
pub(super) struct Remote {
    url: Url,
    addresses: Vec<SocketAddr>,
}

/// An answer, of which at most so many bytes are read.
#[derive(Debug)]
pub(super) struct Answer {
    body: Incoming,
    left: u64,
    place: String,
}

impl Remote {
    /// The server of a URL, once its addresses were looked at. `allow_private` also lets in this machine, private networks, and
    /// `http`.
    pub(super) async fn resolve(url: &Url, allow_private: bool) -> Result<Self, BuildError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BuildError::Refused("a repository's address must not hold a password".to_owned()));
        }
        let default_port = match url.scheme() {
            "https" => 443,
            "http" if allow_private => 80,
            other => {
                return Err(BuildError::Refused(format!("a repository is fetched by https, not by {other}")));
            }
        };
        let host = url.host().ok_or_else(|| BuildError::Refused(format!("{url} names no host")))?;
        let port = url.port().unwrap_or(default_port);
        let addresses = addresses(&host.to_owned(), port, allow_private).await?;
        Ok(Self { url: url.clone(), addresses })
    }

    /// Sends one request; `path` is added to the URL's own. Only 200 is an answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Vec<u8>,
        cap: u64,
    ) -> Result<Answer, BuildError> {
        let sent = timeout(ANSWER_LIMIT, self.attempt(method, path, headers, body)).await;
        let answer = sent.unwrap_or_else(|_| Err(self.failed("it does not answer", true)))?;
        let status = answer.status();
        if status.is_redirection() {
            let to = answer.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
            return Err(self.failed(format!("it says that it is at {to}; redirects are not followed"), false));
        }
        if status != StatusCode::OK {
            let transient = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(self.failed(format!("it answers {status}"), transient));
        }
        Ok(Answer { body: answer.into_body(), left: cap, place: self.place() })
    }

    async fn attempt(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
        body: Vec<u8>,
    ) -> Result<hyper::Response<Incoming>, BuildError> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.failed(e, true))?;
        // Ends when the answer is dropped.
        tokio::spawn(connection);
        let target = format!("{}{path}", self.url.path().trim_end_matches('/'));
        let host = match self.url.port() {
            Some(port) => format!("{}:{port}", self.url.host_str().unwrap_or_default()),
            None => self.url.host_str().unwrap_or_default().to_owned(),
        };
        let mut request = Request::builder().method(method).uri(target).header(header::HOST, host);
        request = request.header(header::USER_AGENT, "git/2.0 (clawdeploy)");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|e| self.failed(e, false))?;
        sender.send_request(request).await.map_err(|e| self.failed(e, true))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, BuildError> {
        let mut last = None;
        for address in &self.addresses {
            match timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) if self.url.scheme() == "https" => {
                    return timeout(CONNECT_LIMIT, self.secure(stream))
                        .await
                        .unwrap_or_else(|_| Err(self.failed("its TLS does not answer", true)));
                }
                Ok(Ok(stream)) => return Ok(Box::new(stream)),
                Ok(Err(error)) => last = Some(error.to_string()),
                Err(_) => last = Some("no answer".to_owned()),
            }
        }
        Err(self.failed(format!("no connection ({})", last.as_deref().unwrap_or("no address")), true))
    }

    async fn secure(&self, stream: TcpStream) -> Result<Box<dyn Stream>, BuildError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(self.failed("this machine trusts no authority; install ca-certificates", false));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| self.failed(e, false))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|e| self.failed(e, false))?;
        let secured = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        Ok(Box::new(secured.map_err(|e| self.failed(e, true))?))
    }

    /// What went wrong, said of this server.
    pub(super) fn failed(&self, why: impl std::fmt::Display, transient: bool) -> BuildError {
        BuildError::Fetch { place: self.place(), why: why.to_string(), transient }
    }

    fn place(&self) -> String {
        self.url.to_string()
    }
}

impl Answer {
    /// The next piece; `None` at the end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, BuildError> {
        let fetch = |why: String, transient| BuildError::Fetch { place: self.place.clone(), why, transient };
        loop {
            let frame = timeout(SILENCE_LIMIT, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| fetch("it fell silent".to_owned(), true))? else { return Ok(None) };
            let Ok(data) = frame.map_err(|e| fetch(e.to_string(), true))?.into_data() else { continue };
            let Some(left) = self.left.checked_sub(data.len() as u64) else {
                return Err(fetch("it sends more than a repository of this kind may have".to_owned(), false));
            };
            self.left = left;
            return Ok(Some(data));
        }
    }

    /// All of it, where it is small.
    pub(super) async fn whole(mut self) -> Result<Vec<u8>, BuildError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// A connection, secured or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The addresses of a host, if every one of them may be connected to.
pub(super) async fn addresses(host: &Host, port: u16, allow_private: bool) -> Result<Vec<SocketAddr>, BuildError> {
    let found: Vec<SocketAddr> = match host {
        Host::Ipv4(ip) => vec![(*ip, port).into()],
        Host::Ipv6(ip) => vec![(*ip, port).into()],
        Host::Domain(name) => {
            let fetch = |why: String| BuildError::Fetch { place: name.clone(), why, transient: true };
            let found = timeout(RESOLVE_LIMIT, lookup_host((name.as_str(), port))).await;
            found
                .map_err(|_| fetch("its name is not resolved in time".to_owned()))?
                .map_err(|e| fetch(format!("its name cannot be resolved: {e}")))?
                .collect()
        }
    };
    match found.iter().find(|address| !allow_private && !is_public(address.ip())) {
        Some(address) => Err(BuildError::Refused(format!(
            "{host} is at {}, which is no public address (CLAWDEPLOY_SOURCE_ALLOW_PRIVATE)",
            address.ip()
        ))),
        None => Ok(found),
    }
}

/// Whether an address is one of the internet's, and not this machine's or a network's own.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18)
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = ip.to_ipv4() {
        // Mapped, or of the old compatible form, which also covers :: and ::1.
        return is_public_v4(v4);
    }
    let parts = ip.segments();
    // 2000::/3 is all that is handed out; of it, what carries another address or is for documents is none.
    parts[0] & 0xe000 == 0x2000
        && parts[0] != 0x2002
        && !(parts[0] == 0x2001 && (parts[1] == 0 || parts[1] == 0x0db8))
        && parts[0] != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: &str) -> bool {
        let url: Url = url.parse().unwrap();
        matches!(Remote::resolve(&url, false).await, Err(BuildError::Refused(_)))
    }

    #[tokio::test]
    async fn addresses_that_are_not_the_internets_are_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0",
            "0.0.0.0",
            "localhost",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[fc00::1]",
            "[fd12::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001::1]",
            "[2001:db8::1]",
            "[100::1]",
        ] {
            assert!(refused(&format!("https://{host}/x.git")).await, "{host}");
        }
        for host in ["1.1.1.1", "100.63.0.1", "[2606:4700::1111]"] {
            assert!(!refused(&format!("https://{host}/x.git")).await, "{host}");
        }
    }

    #[tokio::test]
    async fn only_https_without_a_password() {
        for url in
            ["http://1.1.1.1/x", "ssh://1.1.1.1/x", "git://1.1.1.1/x", "ftp://1.1.1.1", "https://me:secret@1.1.1.1/x"]
        {
            assert!(refused(url).await, "{url}");
        }
        let url = "http://127.0.0.1/x".parse().unwrap();
        assert!(Remote::resolve(&url, true).await.is_ok());
    }
}
