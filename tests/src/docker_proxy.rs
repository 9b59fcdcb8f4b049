//! A proxy in front of the Docker engine's socket, which makes chosen calls fail.
//!
//! Each request gets its own connection to the engine (`connection: close`). So one rule applies to one call, and all
//! that follows the head of the response, such as a stream or a hijacked connection, is copied unchanged.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

use crate::settings;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The connection ends before the engine gets the call.
    DropBefore,
    /// The engine executes the call, and the response is lost.
    DropAfter,
    /// The response is a 500, and the engine does not get the call.
    Err500,
    /// The engine gets the call later, even if the client has given up by then.
    Delay(Duration),
    /// The call is never answered.
    Hang,
    /// The response seems to come from another engine: `GET /info` returns another id.
    OtherEngine,
}

/// Selects calls by method and a part of path and query.
#[derive(Debug, Clone)]
struct Rule {
    method: &'static str,
    path: String,
    action: Action,
    /// Only the n-th of them, from 1; 0: all.
    nth: usize,
    met: usize,
    struck: usize,
}

type Rules = Arc<Mutex<Vec<Rule>>>;

/// The proxy. It is open and has no rules at first.
#[derive(Debug)]
pub struct DockerProxy {
    path: PathBuf,
    rules: Rules,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl DockerProxy {
    /// Opens a socket at `dir/docker-proxy.sock`.
    pub fn new(dir: &Path) -> Self {
        let path = dir.join("docker-proxy.sock");
        let proxy = Self { path, rules: Rules::default(), accepting: Mutex::new(None) };
        proxy.open();
        proxy
    }

    /// For `CLAWDEPLOY_DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// From now on, the `nth` call with this method and `path` in its path meets `action`; 0: all of them.
    pub fn fault(&self, method: &'static str, path: &str, action: Action, nth: usize) {
        let rule = Rule { method, path: path.to_owned(), action, nth, met: 0, struck: 0 };
        self.rules.lock().unwrap().push(rule);
    }

    /// Removes all rules.
    pub fn heal(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// How many calls met the action of a current rule.
    pub fn struck(&self) -> usize {
        self.rules.lock().unwrap().iter().map(|rule| rule.struck).sum()
    }

    /// Accepts connections (again).
    pub fn open(&self) {
        let listener = UnixListener::bind(&self.path).expect("a socket");
        let task = tokio::spawn(accept(listener, Arc::clone(&self.rules)));
        *self.accepting.lock().unwrap() = Some(task);
    }

    /// Closes all connections and refuses new ones, like a stopped engine.
    pub fn shut(&self) {
        if let Some(task) = self.accepting.lock().unwrap().take() {
            task.abort();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for DockerProxy {
    fn drop(&mut self) {
        self.shut();
    }
}

async fn accept(listener: UnixListener, rules: Rules) {
    // Dropped with this task, which closes all connections.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let rules = Arc::clone(&rules);
        connections.spawn(async move { drop(serve(client, rules).await) });
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection: one request, and whatever follows it.
async fn serve(mut client: UnixStream, rules: Rules) -> std::io::Result<()> {
    let Some((head, body)) = read_head(&mut client).await? else { return Ok(()) };
    let action = strike(&rules, head.lines().next().unwrap_or_default());
    match action {
        Some(Action::DropBefore) => return Ok(()),
        Some(Action::Hang) => return std::future::pending().await,
        Some(Action::Err500) => {
            let says = "{\"message\":\"a fault of the test\"}";
            let length = says.len();
            let answer = format!(
                "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{says}"
            );
            return client.write_all(answer.as_bytes()).await;
        }
        Some(Action::Delay(pause)) => tokio::time::sleep(pause).await,
        Some(Action::DropAfter | Action::OtherEngine) | None => {}
    }
    let mut engine = UnixStream::connect(settings::docker_socket()).await?;
    engine.write_all(one_request(&head).as_bytes()).await?;
    engine.write_all(&body).await?;
    if action == Some(Action::DropAfter) {
        return until_answered(client, engine).await;
    }
    if action == Some(Action::OtherEngine) {
        let mut answer = Vec::new();
        engine.read_to_end(&mut answer).await?;
        return client.write_all(&with_another_id(answer)).await;
    }
    copy_bidirectional(&mut client, &mut engine).await.map(drop)
}

/// Overwrites the engine's id in a response, with the same length.
fn with_another_id(mut answer: Vec<u8>) -> Vec<u8> {
    const KEY: &[u8] = b"\"ID\":\"";
    if let Some(start) = answer.windows(KEY.len()).position(|window| window == KEY) {
        answer[start + KEY.len()..].iter_mut().take_while(|byte| **byte != b'"').for_each(|byte| *byte = b'x');
    }
    answer
}

/// The action for a request line, if a rule has one.
fn strike(rules: &Rules, line: &str) -> Option<Action> {
    let mut words = line.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    for rule in rules.lock().unwrap().iter_mut() {
        if rule.method == method && path.contains(&rule.path) {
            rule.met += 1;
            if rule.nth == 0 || rule.nth == rule.met {
                rule.struck += 1;
                return Some(rule.action);
            }
        }
    }
    None
}

/// The head of a request and the part of its body that came with it. `None`: the client closed the connection.
async fn read_head(client: &mut UnixStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = client.read(&mut buffer).await?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), body)));
        }
    }
}

/// The head for the engine, with `connection: close` unless the connection is to be hijacked.
fn one_request(head: &str) -> String {
    if head.to_ascii_lowercase().contains("\r\nupgrade:") {
        return head.to_owned();
    }
    match head.split_once("\r\n") {
        Some((line, rest)) => format!("{line}\r\nconnection: close\r\n{rest}"),
        None => head.to_owned(),
    }
}

/// Forwards the rest of the request until the engine begins to answer. By then it has executed the call.
async fn until_answered(client: UnixStream, engine: UnixStream) -> std::io::Result<()> {
    let ((mut from_client, _to_client), (mut from_engine, mut to_engine)) = (client.into_split(), engine.into_split());
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_engine).await?;
        // The client may have shut its side and wait for the response.
        std::future::pending::<std::io::Result<()>>().await
    };
    tokio::select! {
        ended = up => ended,
        answered = first_byte(&mut from_engine) => answered,
    }
}

async fn first_byte(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    from.read(&mut [0; 1]).await.map(drop)
}
