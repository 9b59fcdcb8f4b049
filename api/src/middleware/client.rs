//! Finds the client's address behind proxies.
//!
//! Each proxy appends the address of its peer to `X-Forwarded-For`; entries further left may be forged by the client.
//! So the list is read from the right while the addresses are those of trusted proxies. The first other address is the
//! client.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Proxies whose `X-Forwarded-For` is trusted. By default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// The client's address of a request that `peer` has sent.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lists = headers.get_all(FORWARDED_FOR).into_iter().rev();
        let hops = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
        for hop in hops {
            if !self.contain(client) {
                break;
            }
            // The last trusted proxy added something that is not an address, so that proxy counts as the client.
            let Some(before) = address(hop.trim()) else { break };
            client = before;
        }
        client
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Parses `203.0.113.7` or `2001:db8::7`. Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse::<IpAddr>().ok().or_else(with_port).map(|ip| ip.to_canonical())
}

/// `127.0.0.1` or `10.0.0.0/8`. The standard library parses the address, because `ipnet` accepts `010.0.0.1`.
fn network(text: &str) -> Result<IpNet, String> {
    let read = || match text.split_once('/') {
        None => Some(IpNet::from(text.parse::<IpAddr>().ok()?)),
        Some((address, prefix)) => IpNet::new(address.parse().ok()?, prefix.parse().ok()?).ok(),
    };
    let network = read().ok_or_else(|| format!("{text:?} is neither an address nor a network such as 10.0.0.0/8"))?;
    if network.prefix_len() == 0 {
        return Err(format!("{text:?} contains every address, so that any client could forge its address"));
    }
    Ok(network)
}

impl FromStr for TrustedProxies {
    type Err = String;

    /// Parses a comma-separated list. An empty list trusts no proxy.
    fn from_str(text: &str) -> Result<Self, String> {
        let networks = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        Ok(Self(networks.map(network).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const NGINX: &str = "127.0.0.1, 10.0.0.0/8, fd00::/8";

    fn client(trusted: &str, peer: &str, lists: &[&str]) -> String {
        let headers = lists.iter().map(|list| {
            (axum::http::HeaderName::from_static(FORWARDED_FOR), HeaderValue::from_bytes(list.as_bytes()).unwrap())
        });
        let headers = headers.collect();
        trusted.parse::<TrustedProxies>().unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client("", "127.0.0.1", &["203.0.113.7"]), "127.0.0.1");
        assert_eq!(client(NGINX, "198.51.100.1", &["203.0.113.7"]), "198.51.100.1");
        assert_eq!(client(NGINX, "::ffff:198.51.100.1", &["203.0.113.7"]), "198.51.100.1");
    }

    #[test]
    fn the_first_stranger_from_the_right_is_the_client() {
        for (peer, lists, want) in [
            ("127.0.0.1", &["203.0.113.7"][..], "203.0.113.7"),
            ("::ffff:127.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("127.0.0.1", &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
            ("127.0.0.1", &["1.1.1.1, 203.0.113.7, 10.1.2.3"], "203.0.113.7"),
            ("127.0.0.1", &["1.1.1.1,203.0.113.7", "10.1.2.3"], "203.0.113.7"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("127.0.0.1", &["203.0.113.7:4711"], "203.0.113.7"),
            ("127.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
        ] {
            assert_eq!(client(NGINX, peer, lists), want, "{peer} {lists:?}");
        }
    }

    #[test]
    fn where_the_list_ends_the_last_known_proxy_is_the_client() {
        assert_eq!(client(NGINX, "127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client(NGINX, "127.0.0.1", &["10.1.2.3"]), "10.1.2.3");
        assert_eq!(client(NGINX, "127.0.0.1", &["1.1.1.1, unknown, 10.1.2.3"]), "10.1.2.3");
        assert_eq!(client(NGINX, "127.0.0.1", &[""]), "127.0.0.1");
        assert_eq!(client(NGINX, "127.0.0.1", &["1.1.1.1, \u{fc}"]), "127.0.0.1");
    }

    #[test]
    fn settings() {
        let of = |text: &str| text.parse::<TrustedProxies>();
        assert_eq!(of(" ").unwrap(), TrustedProxies::default());
        assert_eq!(of("10.1.2.3/8,").unwrap().0.len(), 1);
        let network = network("10.1.2.3/9").unwrap();
        for (other, inside) in
            [("10.0.0.1", true), ("10.127.255.255", true), ("10.128.0.0", false), ("::a01:203", false)]
        {
            assert_eq!(network.contains(&other.parse::<IpAddr>().unwrap()), inside, "{other}");
        }
        for bad in [
            "nginx",
            "10.0.0.0/33",
            "010.0.0.0/8",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/",
            "0.0.0.0/0",
            "::/0",
            "127.0.0.1 10.0.0.1",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
