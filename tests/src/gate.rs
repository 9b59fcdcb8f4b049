//! A proxy in front of the Docker engine's socket that can be shut, and that can lose a response.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

use crate::settings;

/// The part of a request's head that identifies it; `None` once it has been seen.
type Needle = Arc<Mutex<Option<String>>>;

/// The proxy. It is open at first.
#[derive(Debug)]
pub struct Gate {
    path: PathBuf,
    needle: Needle,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Gate {
    /// Opens a socket at `dir/docker.sock`.
    pub fn new(dir: &Path) -> Self {
        let gate = Self { path: dir.join("docker.sock"), needle: Needle::default(), accepting: Mutex::new(None) };
        gate.open();
        gate
    }

    /// For `CLAWDEPLOY_DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Accepts connections (again).
    pub fn open(&self) {
        let listener = UnixListener::bind(&self.path).expect("a socket");
        let task = tokio::spawn(accept(listener, Arc::clone(&self.needle)));
        *self.accepting.lock().unwrap() = Some(task);
    }

    /// Closes all connections and refuses new ones, like a stopped engine.
    pub fn shut(&self) {
        if let Some(task) = self.accepting.lock().unwrap().take() {
            task.abort();
        }
        let _ = std::fs::remove_file(&self.path);
    }

    /// The engine executes the next request that contains `needle`, but its response is lost with the connection.
    pub fn lose_answer_to(&self, needle: &str) {
        *self.needle.lock().unwrap() = Some(needle.to_owned());
    }

    /// Whether the request of [`Self::lose_answer_to`] was seen.
    pub fn has_lost(&self) -> bool {
        self.needle.lock().unwrap().is_none()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

async fn accept(listener: UnixListener, needle: Needle) {
    // Dropped with this task, which closes all connections.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(forward(client, Arc::clone(&needle)));
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(client: UnixStream, needle: Needle) {
    let Ok(engine) = UnixStream::connect(settings::docker_socket()).await else { return };
    let ((mut from_client, mut to_client), (mut from_engine, mut to_engine)) =
        (client.into_split(), engine.into_split());
    let doomed = Mutex::new(false);
    let up = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if is_wanted(&buffer[..read], &needle) {
                *doomed.lock().unwrap() = true;
            }
            if to_engine.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from_engine.read(&mut buffer).await {
            // The engine has answered, so it has executed the call.
            if *doomed.lock().unwrap() || to_client.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

/// Whether this is the request whose response is to be lost. True for one request only.
fn is_wanted(bytes: &[u8], needle: &Needle) -> bool {
    let mut needle = needle.lock().unwrap();
    let found = needle.as_ref().is_some_and(|n| bytes.windows(n.len()).any(|window| window == n.as_bytes()));
    if found {
        *needle = None;
    }
    found
}
