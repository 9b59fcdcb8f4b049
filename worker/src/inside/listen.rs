//! Where the private endpoint listens, and what the API is told of it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use clawdeploy_shared::inside::Address;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// `127.0.0.1:0` or `unix:/run/clawdeploy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Port 0 takes any free one: workers on one host need no setting each.
    Tcp(SocketAddr),
    /// A directory, in which each worker makes a socket of its own.
    Sockets(PathBuf),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Address>() {
            Ok(Address::Unix(directory)) => Ok(Self::Sockets(directory)),
            Ok(Address::Tcp(address)) if is_private(address.ip()) => Ok(Self::Tcp(address)),
            Ok(Address::Tcp(address)) => Err(format!(
                "{} is not a private address, and this endpoint must not be reached from outside: take 127.0.0.1, or the \
                 address of a network that only the API and the workers are in",
                address.ip()
            )),
            Err(_) => Err("write it as 127.0.0.1:0 or unix:/a/directory".to_owned()),
        }
    }
}

/// Not all addresses at once either (`0.0.0.0`): the public ones are among them.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

/// A socket that listens, and its address.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens; `worker` names the socket where there is to be one.
    pub async fn bind(listen: &Listen, worker: &str) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Sockets(directory) => {
                tokio::fs::create_dir_all(directory).await?;
                remove_dead(directory).await?;
                // Paths of sockets are short: the random part of the name is enough.
                let name = worker.rsplit('-').next().unwrap_or(worker);
                let path = directory.join(format!("{name}.sock"));
                let listener = UnixListener::bind(&path)?;
                // The API is another user, of the directory's group.
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Self::Unix(listener, path))
            }
        }
    }

    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => Ok(Address::Tcp(listener.local_addr()?)),
            Self::Unix(_, path) => Ok(Address::Unix(path.clone())),
        }
    }
}

/// Removes the sockets of workers that were killed.
async fn remove_dead(directory: &Path) -> io::Result<()> {
    let mut entries = tokio::fs::read_dir(directory).await?;
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let ours = entry.file_type().await?.is_socket() && path.extension().is_some_and(|ending| ending == "sock");
        if ours && UnixStream::connect(&path).await.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            tokio::fs::remove_file(&path).await?;
        }
    }
    Ok(())
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

    #[tokio::test]
    async fn sockets_of_the_dead_are_removed_and_those_of_the_living_stay() {
        let directory = tempfile::tempdir().unwrap();
        let listen = Listen::Sockets(directory.path().to_owned());
        let dead = Listener::bind(&listen, "host-1-dead").await.unwrap();
        drop(dead);
        assert!(directory.path().join("dead.sock").exists());
        let first = Listener::bind(&listen, "host-2-aaaa").await.unwrap();
        let _second = Listener::bind(&listen, "host-3-bbbb").await.unwrap();
        let left = |name: &str| directory.path().join(name).exists();
        assert_eq!((left("dead.sock"), left("aaaa.sock"), left("bbbb.sock")), (false, true, true));
        let Address::Unix(path) = first.address().unwrap() else { panic!("another address") };
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    }
}
