//! HTTP clients.
//!
//! Redirects and proxies are not followed, so a request only goes to the address it was meant for. Every client of the programs is
//! made here: one that is made without TLS settings panics, because reqwest is compiled without a TLS provider of its own.

use std::sync::Arc;

use reqwest::{ClientBuilder, redirect::Policy};
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

/// Prepares a client for external servers, which trusts the certificate authorities of this machine. The caller sets its time
/// limits.
pub fn client() -> Result<ClientBuilder, ClientError> {
    with(tls::system_roots().ok_or(ClientError::NoAuthorities)?)
}

/// Prepares a client for servers of this installation, which are asked without TLS. The caller sets its time limits.
pub fn local() -> Result<ClientBuilder, ClientError> {
    with(RootCertStore::empty())
}

#[expect(clippy::disallowed_methods, reason = "here is where clients are made")]
fn with(roots: RootCertStore) -> Result<ClientBuilder, ClientError> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
    // Idle connections would lead to gateways, workers and nginx processes from before a restart.
    Ok(builder.redirect(Policy::none()).no_proxy().referer(false).pool_max_idle_per_host(0))
}
