//! HTTP clients for external servers.
//!
//! TLS trusts the certificate authorities of this machine. Redirects and proxies are not followed, so a request only goes to the
//! address it was meant for.

use std::sync::Arc;

use reqwest::{ClientBuilder, redirect::Policy};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Why a client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("this machine trusts no certificate authority; install ca-certificates")]
    NoAuthorities,
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
}

/// Prepares a client. The caller sets its time limits.
pub fn client() -> Result<ClientBuilder, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(ClientError::NoAuthorities);
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
    // A client sends one or two requests, so idle connections have no use.
    Ok(builder.redirect(Policy::none()).no_proxy().referer(false).pool_max_idle_per_host(0))
}
