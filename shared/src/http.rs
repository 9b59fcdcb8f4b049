//! HTTP clients, and the bodies that they read.
//!
//! They do not follow redirects and use no proxies, so a request goes only to the intended address. Both programs
//! create all of their clients here. A client without TLS settings would panic, because reqwest is compiled without a
//! TLS provider of its own.

use std::sync::Arc;

use reqwest::{ClientBuilder, Response, redirect::Policy};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::tls;

/// Why a client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("this machine trusts no certificate authority; install ca-certificates")]
    NoAuthorities,
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
    #[error("the HTTP client could not be created")]
    Build(#[from] reqwest::Error),
}

/// Prepares a client for external servers. It trusts the certificate authorities of this machine. The caller sets its
/// time limits.
pub fn client() -> Result<ClientBuilder, ClientError> {
    with(tls::system_roots().ok_or(ClientError::NoAuthorities)?)
}

/// Prepares a client for servers of this installation, which do not use TLS. The caller sets its time limits.
pub fn local() -> Result<ClientBuilder, ClientError> {
    with(RootCertStore::empty())
}

/// Reads the body of a response of at most `cap` bytes. `None`: it is longer.
pub async fn body(mut response: Response, cap: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > cap {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

#[expect(clippy::disallowed_methods, reason = "here is where clients are made")]
fn with(roots: RootCertStore) -> Result<ClientBuilder, ClientError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
    // After a restart of a gateway, worker or nginx, idle connections would still lead to the old process.
    Ok(builder.redirect(Policy::none()).no_proxy().referer(false).pool_max_idle_per_host(0))
}
