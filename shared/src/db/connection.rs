//! Connects to Postgres, with or without TLS. `sslmode` in the database's URL has the same meaning as in libpq.
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | no | - |
//! | `prefer` | if the server can | is not verified |
//! | `require` | yes | is not verified; with `sslrootcert` as `verify-ca` |
//! | `verify-ca` | yes | must be signed by an authority in `sslrootcert`, or by one that the system trusts |
//! | `verify-full` | yes | as `verify-ca`, and must be for the host in the URL |
//!
//! The default is `disable` for this machine's own Postgres and `prefer` for any other. Unlike libpq's, `prefer` does
//! not retry without TLS after a failed handshake.

use std::{
    fmt::Write as _,
    future::Future,
    io,
    net::IpAddr,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use diesel_async::AsyncPgConnection;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode as Negotiation},
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream as Encrypted};

use crate::tls;

/// Why the database's URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    #[error("it cannot be used")]
    Syntax(#[source] tokio_postgres::Error),
    #[error("sslmode={0:?} is unknown; it is disable, prefer, require, verify-ca or verify-full")]
    Mode(String),
    #[error("{0} is not supported")]
    Unsupported(String),
    #[error("sslrootcert={} cannot be used", .0.display())]
    RootCert(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("sslrootcert={} has no certificate in it", .0.display())]
    NoRootCert(PathBuf),
    #[error("sslmode={0} needs certificates to trust: the system has none, so name a file with sslrootcert")]
    NoSystemRoots(&'static str),
    #[error("TLS cannot be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting must be changed, so a retry does not help.
    #[error("{advice} ({problem})")]
    Settings { advice: &'static str, problem: String },
    #[error("no connection")]
    Failed(#[source] tokio_postgres::Error),
    #[error("no connection")]
    Diesel(#[source] diesel::ConnectionError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn parse(word: &str) -> Result<Self, UrlError> {
        Ok(match word {
            "disable" => Self::Disable,
            // libpq's `allow` starts without TLS. Starting with TLS does no harm.
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => return Err(UrlError::Mode(other.to_owned())),
        })
    }
}

/// The parsed URL of the database.
#[derive(Clone)]
pub struct Target {
    config: Config,
    tls: Option<MakeTls>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Target {
    /// Parses a URL and loads the certificates that it names.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (rest, named) = take_ours(url)?;
        let mut config: Config = rest.parse().map_err(UrlError::Syntax)?;
        let mut mode = match named.mode.as_deref() {
            Some(word) => Mode::parse(word)?,
            None if named.root_cert.is_some() => Mode::VerifyFull,
            None if is_local(&config) => Mode::Disable,
            None => Mode::Prefer,
        };
        // Nobody can listen in on a local socket, and libpq does not use TLS there either.
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_))) {
            mode = Mode::Disable;
        }
        if mode == Mode::Require && named.root_cert.is_some() {
            mode = Mode::VerifyCa;
        }
        config.ssl_mode(match mode {
            Mode::Disable => Negotiation::Disable,
            Mode::Prefer => Negotiation::Prefer,
            _ => Negotiation::Require,
        });
        let tls = match mode {
            Mode::Disable => None,
            _ => Some(MakeTls { config: Arc::new(client_config(mode, named.root_cert)?) }),
        };
        Ok(Self { config, tls })
    }

    /// The connection settings, for setting time limits.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    pub async fn connect(&self) -> Result<AsyncPgConnection, ConnectError> {
        let made = match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(explain)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(explain)?;
                AsyncPgConnection::try_from_client_and_connection(client, connection).await
            }
        };
        made.map_err(ConnectError::Diesel)
    }

    /// A plain connection without diesel, which prepares no statements.
    pub(super) async fn connect_plainly(&self) -> Result<Client, ConnectError> {
        Ok(match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(explain)?;
                tokio::spawn(connection);
                client
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(explain)?;
                tokio::spawn(connection);
                client
            }
        })
    }
}

impl From<ConnectError> for diesel::ConnectionError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Diesel(error) => error,
            other => Self::BadConnection(crate::telemetry::chain(&other)),
        }
    }
}

/// Says what to change, if that is known.
fn explain(error: tokio_postgres::Error) -> ConnectError {
    let problem = crate::telemetry::chain(&error);
    let settings = |advice| ConnectError::Settings { advice, problem: problem.clone() };
    if problem.contains("server does not support TLS") {
        return settings("the database server does not offer TLS: enable it there, or change sslmode");
    }
    if problem.contains("no pg_hba.conf entry") && problem.contains("no encryption") {
        return settings("the database server requires TLS: add sslmode=require, or better verify-full, to the URL");
    }
    let Some(tls) = rustls_error(&error) else { return ConnectError::Failed(error) };
    match tls {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => settings(
            "the database server's certificate is for another host: correct the host in the URL, or the certificate",
        ),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => settings(
            "the database server's certificate is from an untrusted authority: name the authority's certificate with \
             sslrootcert",
        ),
        rustls::Error::InvalidCertificate(_) => {
            settings("the database server's certificate is not valid; see sslmode and sslrootcert")
        }
        _ => ConnectError::Failed(error),
    }
}

fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    std::iter::successors(Some(error), |e| e.source()).find_map(|e| {
        let inner = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.and_then(|inner| inner.downcast_ref()).or_else(|| e.downcast_ref())
    })
}

fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    })
}

#[derive(Debug, Default)]
struct Named {
    mode: Option<String>,
    root_cert: Option<String>,
}

/// Removes the parameters from the URL that `tokio_postgres` does not know.
fn take_ours(url: &str) -> Result<(String, Named), UrlError> {
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), Named::default())) };
    let (mut rest, mut named) = (base.to_owned(), Named::default());
    let mut mark = '?';
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "sslmode" => named.mode = Some(decoded(value)),
            "sslrootcert" => named.root_cert = Some(decoded(value)),
            "sslcert" | "sslkey" | "sslcrl" | "sslpassword" => return Err(UrlError::Unsupported(name.to_owned())),
            _ => {
                let _ = write!(rest, "{mark}{pair}");
                mark = '&';
            }
        }
    }
    Ok((rest, named))
}

/// Decodes percent-encoding.
fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = value.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(hex.unwrap_or(bytes[at]));
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn client_config(mode: Mode, root_cert: Option<String>) -> Result<ClientConfig, UrlError> {
    let provider = Arc::new(ring::default_provider());
    let tls = |error: Box<dyn std::error::Error + Send + Sync>| UrlError::Tls(error);
    let verifier: Arc<dyn ServerCertVerifier> = if matches!(mode, Mode::VerifyCa | Mode::VerifyFull) {
        let word = if mode == Mode::VerifyCa { "verify-ca" } else { "verify-full" };
        let roots = Arc::new(roots(root_cert, word)?);
        let full = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let full = full.map_err(|e| tls(e.into()))?;
        if mode == Mode::VerifyFull { full } else { Arc::new(AnyName(full)) }
    } else {
        Arc::new(Anybody(Arc::clone(&provider)))
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| tls(e.into()))?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

fn roots(file: Option<String>, mode: &'static str) -> Result<RootCertStore, UrlError> {
    let Some(file) = file.filter(|file| file != "system") else {
        return tls::system_roots().ok_or(UrlError::NoSystemRoots(mode));
    };
    let mut roots = RootCertStore::empty();
    let file = PathBuf::from(file);
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| UrlError::RootCert(file.clone(), error);
    let certificates = CertificateDer::pem_file_iter(&file).map_err(|e| unusable(e.into()))?;
    for certificate in certificates {
        roots.add(certificate.map_err(|e| unusable(e.into()))?).map_err(|e| unusable(e.into()))?;
    }
    if roots.is_empty() { Err(UrlError::NoRootCert(file)) } else { Ok(roots) }
}

/// `prefer` and `require`: accepts any certificate, but still verifies that the server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify-ca`: checks the authority but not the host name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is checked last, after everything else was found valid.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[derive(Clone)]
struct MakeTls {
    config: Arc<ClientConfig>,
}

struct Handshake {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// An encrypted connection. It offers no channel binding: SCRAM works without, as with most poolers.
struct Stream<S>(Encrypted<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for MakeTls {
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, io::Error> {
        let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
        Ok(Handshake { config: Arc::clone(&self.config), name })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Stream<S>, io::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { Ok(Stream(TlsConnector::from(self.config).connect(self.name, stream).await?)) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<(bool, Negotiation), String> {
        let target = Target::parse(url).map_err(|e| e.to_string())?;
        Ok((target.tls.is_some(), target.config.get_ssl_mode()))
    }

    #[test]
    fn without_a_word_this_machine_is_plain_and_others_are_asked() {
        for local in
            ["postgres://a:b@127.0.0.1:5432/c", "postgres://a@localhost/c", "postgres://a@%2Frun%2Fpostgresql/c"]
        {
            assert_eq!(read(local), Ok((false, Negotiation::Disable)), "{local}");
        }
        assert_eq!(read("postgres://a:b@db.example/c"), Ok((true, Negotiation::Prefer)));
    }

    #[test]
    fn each_mode_is_what_it_says() {
        let mode = |query: &str| read(&format!("postgres://a:b@127.0.0.1/c?application_name=x&{query}"));
        assert_eq!(mode("sslmode=disable"), Ok((false, Negotiation::Disable)));
        assert_eq!(mode("sslmode=prefer"), Ok((true, Negotiation::Prefer)));
        assert_eq!(mode("sslmode=require"), Ok((true, Negotiation::Require)));
        assert!(mode("sslmode=maybe").unwrap_err().contains("sslmode=\"maybe\" is unknown"));
        assert_eq!(mode("sslcert=/x").unwrap_err(), "sslcert is not supported");
        assert_eq!(mode("sslmode=verify-full&sslrootcert=%2Fnone").unwrap_err(), "sslrootcert=/none cannot be used");
    }
}
