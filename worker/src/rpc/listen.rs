//! The address of the private endpoint, and what is told to the API.

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use clawdeploy_shared::rpc::Address;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::config::Listen;

/// A listening socket and its address.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Starts to listen. A socket file is named after `worker`.
    pub async fn bind(listen: &Listen, worker: &str) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Sockets(directory) => {
                tokio::fs::create_dir_all(directory).await?;
                remove_dead(directory).await?;
                // Socket paths must be short: the random part of the name is enough.
                let name = worker.rsplit('-').next().unwrap_or(worker);
                let path = directory.join(format!("{name}.sock"));
                let listener = UnixListener::bind(&path)?;
                // The API runs as another user in the directory's group.
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

/// Removes the sockets of killed workers.
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
