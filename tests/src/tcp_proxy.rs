//! A TCP proxy in front of Postgres or Redis that simulates network failures.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Behavior of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Pass,
    /// Data is delayed until this is over. Neither side gets an error.
    BlackHole,
    /// All connections are reset, new ones at once.
    Reset,
    /// All packets are delayed by this long.
    Latency(Duration),
    /// Each connection is reset after this many more bytes from the server.
    CutAfter(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

/// The response to be lost: the one to the n-th packet that contains these bytes, or the one that contains them itself.
#[derive(Debug)]
struct Lose {
    way: Way,
    needle: String,
    left: usize,
}

#[derive(Debug)]
struct Shared {
    target: String,
    network: watch::Sender<Network>,
    lose: Mutex<Option<Lose>>,
    connections: AtomicUsize,
    packets: AtomicUsize,
}

/// The proxy. It is open at first.
#[derive(Debug)]
pub struct TcpProxy {
    shared: Arc<Shared>,
    port: AtomicU16,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl TcpProxy {
    /// Opens a port for `target` (`127.0.0.1:5432`).
    pub async fn new(target: &str) -> Self {
        let network = watch::Sender::new(Network::Pass);
        let (connections, packets) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Shared { target: target.to_owned(), network, lose: Mutex::new(None), connections, packets };
        let proxy = Self { shared: Arc::new(shared), port: AtomicU16::new(0), accepting: Mutex::new(None) };
        proxy.open().await;
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    /// Changes the network, for existing connections too.
    pub fn set(&self, network: Network) {
        self.shared.network.send_replace(network);
    }

    /// Accepts connections (again), always on the same port.
    pub async fn open(&self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port())).await.expect("a port");
        self.port.store(listener.local_addr().expect("its number").port(), Ordering::Relaxed);
        let task = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
        *self.accepting.lock().unwrap() = Some(task);
    }

    /// Closes all connections and refuses new ones, like a host whose server is stopped.
    pub fn shut(&self) {
        if let Some(task) = self.accepting.lock().unwrap().take() {
            task.abort();
        }
    }

    /// The `nth` packet that contains `needle`, from 1, is delivered. The connection is reset before its response is.
    pub fn lose_answer_to(&self, needle: &str, nth: usize) {
        self.lose(Lose { way: Way::ToServer, needle: needle.to_owned(), left: nth });
    }

    /// The next response that contains `needle` is not delivered, and the connection is reset.
    pub fn lose_answer_with(&self, needle: &str) {
        self.lose(Lose { way: Way::ToClient, needle: needle.to_owned(), left: 1 });
    }

    fn lose(&self, lose: Lose) {
        *self.shared.lose.lock().unwrap() = Some(lose);
    }

    /// Whether the packet or response to be lost has been seen.
    pub fn has_lost(&self) -> bool {
        self.shared.lose.lock().unwrap().is_none()
    }

    /// Number of packets to the server so far. A client that awaits each response sends one for each round trip.
    pub fn packets(&self) -> usize {
        self.shared.packets.load(Ordering::Relaxed)
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.shut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, which closes all connections.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        connections.spawn(async move { drop(serve(client, &shared).await) });
        while connections.try_join_next().is_some() {}
    }
}

/// Why copying in one direction ended.
enum Ended {
    /// One side closed its direction; the other may continue.
    Shut,
    /// The network broke the connection.
    Torn,
}

async fn serve(client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    // Makes dropping the connection reset it.
    client.set_zero_linger()?;
    client.set_nodelay(true)?;
    let server = TcpStream::connect(&shared.target).await?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let lost = tokio::sync::Notify::new();
    let up = copy(Way::ToServer, from_client, to_server, shared, &lost);
    let down = copy(Way::ToClient, from_server, to_client, shared, &lost);
    tokio::pin!(up, down);
    tokio::select! {
        biased;
        () = lost.notified() => {
            // Gives the server time to execute the packet. Its response is not copied meanwhile.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ended = &mut up => if matches!(ended, Ok(Ended::Shut)) { drop(down.await) },
        _ = &mut down => {}
    }
    Ok(())
}

/// Whether this is the packet to be lost, or the one whose response is to be lost. True for one packet only.
fn is_wanted(way: Way, bytes: &[u8], shared: &Shared) -> bool {
    let mut lose = shared.lose.lock().unwrap();
    let Some(wanted) = lose.as_mut().filter(|wanted| wanted.way == way) else { return false };
    if !bytes.windows(wanted.needle.len()).any(|window| window == wanted.needle.as_bytes()) {
        return false;
    }
    wanted.left = wanted.left.saturating_sub(1);
    let found = wanted.left == 0;
    if found {
        *lose = None;
    }
    found
}

async fn copy(
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    lost: &tokio::sync::Notify,
) -> std::io::Result<Ended> {
    let mut network = shared.network.subscribe();
    let mut buffer = vec![0; 16 << 10];
    let mut passed = 0;
    loop {
        let now = *network.borrow_and_update();
        match now {
            Network::Reset => return Ok(Ended::Torn),
            Network::CutAfter(bytes) if passed >= bytes => return Ok(Ended::Torn),
            Network::CutAfter(_) => {}
            _ => passed = 0,
        }
        let read = tokio::select! {
            biased;
            changed = network.changed() => {
                if changed.is_err() { return Ok(Ended::Torn) }
                continue;
            }
            read = from.read(&mut buffer), if now != Network::BlackHole => read?,
        };
        if read == 0 {
            to.shutdown().await?;
            return Ok(Ended::Shut);
        }
        if let Network::Latency(pause) = now {
            tokio::time::sleep(pause).await;
        }
        let end = match now {
            Network::CutAfter(bytes) => read.min(bytes - passed),
            _ => read,
        };
        passed += end;
        let wanted = is_wanted(way, &buffer[..end], shared);
        if way == Way::ToServer {
            shared.packets.fetch_add(1, Ordering::Relaxed);
        }
        if wanted && way == Way::ToClient {
            return Ok(Ended::Torn);
        }
        to.write_all(&buffer[..end]).await?;
        if wanted {
            lost.notify_one();
        }
    }
}
