//! Requests to servers of others.
//!
//! TLS goes by the authorities that this machine trusts. No redirect is followed and no proxy is asked, so a request goes to the
//! address it was meant for and nowhere else.

use std::sync::Arc;

use reqwest::{ClientBuilder, redirect::Policy};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// A client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("this machine trusts no certificate authority; install ca-certificates")]
    NoAuthorities,
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
}

/// Prepares a client; time limits are the caller's to set.
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
    // Each client asks one server once or twice: an idle connection would only be closed by the server at a bad moment.
    Ok(builder.redirect(Policy::none()).no_proxy().referer(false).pool_max_idle_per_host(0))
}
