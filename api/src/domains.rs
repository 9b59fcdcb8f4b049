//! Checks whether the instances and the panel are on the same site.
//!
//! Tenants serve their own pages at the domains of their instances. If such a page is on the same site as the panel,
//! `SameSite` cookies do not separate the two, and the page can set cookies for the panel.

/// Second-level labels under which countries register names, as in `example.co.uk`. The list is incomplete: it serves a
/// warning and is not a security boundary.
const REGISTRIES: [&str; 8] = ["co", "com", "net", "org", "gov", "ac", "edu", "or"];

/// The registrable part of a host name, estimated without the public suffix list.
fn registrable(host: &str) -> &str {
    let dots: Vec<usize> = host.rmatch_indices('.').map(|(at, _)| at).collect();
    let labels = match dots[..] {
        [top, second, ..] if host.len() - top == 3 && REGISTRIES.contains(&&host[second + 1..top]) => 3,
        _ => 2,
    };
    dots.get(labels - 1).map_or(host, |dot| &host[dot + 1..])
}

/// The host of a URL, in lower case and without a trailing dot. `None`: the URL has no host name.
fn host(url: &str) -> Option<String> {
    let host = url.parse::<axum::http::Uri>().ok()?.host()?.trim_end_matches('.').to_ascii_lowercase();
    // An IP address has no parent domain to share.
    let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    (!is_address).then_some(host)
}

/// A warning if instances below `base_domain` are on the same site as the panel at `public_url`.
pub fn warning(public_url: &str, base_domain: &str) -> Option<String> {
    let panel = host(public_url)?;
    let base = base_domain.trim_end_matches('.').to_ascii_lowercase();
    (registrable(&panel) == registrable(&base)).then(|| {
        format!(
            "Instances at *.{base} and the panel at {panel} are on the same site: for SameSite cookies, pages that \
             tenants serve count as the panel's own, and they can set cookies for it. Give instances a registered \
             domain of their own (CLAWDEPLOY_BASE_DOMAIN)."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_told() {
        for (panel, base) in [
            ("https://example.com", "example.com"),
            ("https://claw.example.com", "example.com"),
            ("https://panel.example.com:8443/x", "claw.example.com"),
            ("https://Example.COM./", "claw.example.com"),
            ("https://panel.example.co.uk", "claw.example.co.uk"),
        ] {
            assert!(warning(panel, base).is_some_and(|w| w.contains("SameSite")), "{panel} {base}");
        }
        for (panel, base) in [
            ("https://example.com", "example-claw.com"),
            ("https://example.co.uk", "claw.co.uk"),
            ("https://panel.localhost", "claw.localhost"),
            ("http://127.0.0.1:8080", "claw.localhost"),
            ("http://[::1]:8080", "claw.localhost"),
            ("nonsense", "claw.test"),
        ] {
            assert_eq!(warning(panel, base), None, "{panel} {base}");
        }
    }
}
