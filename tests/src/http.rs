//! HTTP clients of tests.

use reqwest::{ClientBuilder, redirect::Policy};

/// Builder of a client that follows redirects and keeps connections alive, as other programs' clients do.
pub fn http() -> ClientBuilder {
    let builder = clawdeploy_shared::http::local().expect("TLS settings");
    builder.redirect(Policy::default()).pool_max_idle_per_host(usize::MAX)
}
