//! Where the worker listens for the API.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use clawdeploy_shared::rpc::Address;

/// `127.0.0.1:0` or `unix:/run/clawdeploy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Port 0 chooses a free port, so workers on one host can share the setting.
    Tcp(SocketAddr),
    /// A directory in which each worker creates its own socket.
    Sockets(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Address>() {
            Ok(Address::Unix(directory)) => Ok(Self::Sockets(directory)),
            Ok(Address::Tcp(address)) if is_private(address.ip()) => Ok(Self::Tcp(address)),
            Ok(Address::Tcp(address)) => Err(format!(
                "{} is not a private address, and this endpoint must not be reachable from outside; use 127.0.0.1 or an \
                 address in a network of the API and the workers only",
                address.ip()
            )),
            Err(_) => Err("write it as 127.0.0.1:0 or unix:/a/directory".to_owned()),
        }
    }
}

/// Excludes `0.0.0.0`, which stands for the public addresses too.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_addresses_are_listened_at() {
        for good in ["127.0.0.1:0", "[::1]:4000", "10.1.2.3:4000", "192.168.1.1:1", "[fd00::1]:1", "unix:/run/x"] {
            assert!(good.parse::<Listen>().is_ok(), "{good}");
        }
        for bad in ["0.0.0.0:4000", "[::]:4000", "203.0.113.7:4000", "169.254.1.1:1", "[2001:db8::1]:1", "x", "unix:x"]
        {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }
}
