//! A Redis server for a test that kills, empties, pauses or fills it.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::{Child, Command};

use crate::wait;

/// A server without persistence on its own port. It is killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    dir: tempfile::TempDir,
    child: tokio::sync::Mutex<Child>,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        let port = crate::port::take();
        let dir = tempfile::tempdir().expect("a directory");
        let child = spawn(port, dir.path());
        let server = Self { port, dir, child: child.into() };
        server.wait_until_up().await;
        server
    }

    /// For `CLAWDEPLOY_REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills it. All its data is lost.
    pub async fn kill(&self) {
        let mut child = self.child.lock().await;
        child.kill().await.expect("the end of Redis");
    }

    /// Starts it again, empty, on the same port.
    pub async fn revive(&self) {
        *self.child.lock().await = spawn(self.port, self.dir.path());
        self.wait_until_up().await;
    }

    /// Sends a command and ignores the response and errors.
    pub async fn say(&self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        let said = async {
            let mut conn = self.connect().await?;
            command.query_async::<redis::Value>(&mut conn).await.map(drop)
        };
        let _ = tokio::time::timeout(Duration::from_millis(300), said).await;
    }

    /// A connection, if the server works.
    pub async fn connect(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        redis::Client::open(self.url())?.get_multiplexed_async_connection().await
    }

    async fn wait_until_up(&self) {
        let up = async || {
            let mut conn = self.connect().await.ok()?;
            redis::cmd("PING").query_async::<String>(&mut conn).await.ok()
        };
        wait::poll(Duration::from_secs(10), up).await.expect("an answer of Redis");
    }
}

fn spawn(port: u16, dir: &Path) -> Child {
    let port = port.to_string();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
    command.args(["--enable-debug-command", "local", "--dir"]).arg(dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("redis-server")
}
