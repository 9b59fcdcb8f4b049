//! Certificate authorities for TLS.

use rustls::RootCertStore;

/// The certificate authorities that this machine trusts. `None`: there are none, for example because `ca-certificates`
/// is not installed.
pub(crate) fn system_roots() -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    (!roots.is_empty()).then_some(roots)
}
