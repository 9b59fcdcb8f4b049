//! Terminals in instances' containers.
//!
//! A terminal is a task of the worker that opened it ([`session`]). When its browser or the API disconnects, it stays
//! for a minute, in which the browser may reconnect and find everything as it was. It ends with its worker, because the
//! engine cannot attach to a running command again.
//!
//! - [`shell`] is the program in it, [`supervisor`] ends that program in every case.
//! - [`replay`] keeps its last output, [`client`] is the attached WebSocket, [`clocks`] keeps its timers.
//! - [`watch`] reads from the database which terminals to end and who may no longer use one, and cleans up after
//!   vanished workers.
//!
//! Stopping or removing a container closes its terminals first ([`Terminals::close_instance`]), whichever worker holds
//! them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::extract::ws::WebSocket;
use clawdeploy_shared::{
    db::{Db, terminal},
    ids::{InstanceId, TerminalId},
    rpc::terminal::{OpenArguments, TerminalEnd},
    telemetry::chain,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

pub use self::shell::OpenError;
use self::{
    session::{Order, Outcome, Session},
    shell::Shell,
    supervisor::Supervisors,
};
use crate::{
    config::{TerminalArgs, TerminalLimits},
    runtime::{Reference, Runtime},
};

mod client;
mod clocks;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod replay;
mod session;
mod shell;
mod supervisor;
pub mod watch;

/// Most orders that wait for a session.
const ORDERS: usize = 8;
/// How long stopping a container waits for its terminals.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
const CLOSE_POLL: Duration = Duration::from_millis(10);
/// How often recording the end is tried, and the pause between.
const NOTE_TRIES: u32 = 3;
const NOTE_PAUSE: Duration = Duration::from_secs(1);

/// The terminals of this worker. Clones share them.
#[derive(Debug, Clone)]
pub struct Terminals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Runtime,
    db: Db,
    worker: Arc<str>,
    limits: TerminalLimits,
    room: Arc<Semaphore>,
    supervisors: Supervisors,
    held: Mutex<HashMap<TerminalId, Held>>,
    tasks: TaskTracker,
}

/// A terminal in its worker's memory.
#[derive(Debug, Clone)]
struct Held {
    instance: InstanceId,
    orders: mpsc::Sender<Order>,
}

impl Terminals {
    pub fn new(runtime: Runtime, db: Db, worker: Arc<str>, config: &TerminalArgs) -> Self {
        Self(Arc::new(Inner {
            supervisors: Supervisors::new(runtime.clone()),
            runtime,
            db,
            worker,
            limits: config.limits(),
            room: Arc::new(Semaphore::new(config.terminals)),
            held: Mutex::default(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Opens a terminal in a running container. Its row already exists.
    pub async fn open(
        &self,
        instance: &InstanceId,
        container: &Reference,
        arguments: OpenArguments,
    ) -> Result<(), OpenError> {
        let room = Arc::clone(&self.0.room).try_acquire_owned().map_err(|_| OpenError::Full)?;
        let began = Instant::now();
        self.0.supervisors.enter(container).await?;
        let opened = Shell::open(&self.0.runtime, &self.0.supervisors, container, arguments).await;
        let (opened, pid) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.0.supervisors.leave(container, None).await;
                return Err(error);
            }
        };
        let id = arguments.terminal_id;
        let (orders, received) = mpsc::channel(ORDERS);
        self.held().insert(id, Held { instance: instance.clone(), orders });
        let duration_ms = began.elapsed().as_millis();
        tracing::info!(terminal = %id, %instance, duration_ms, "Opened a terminal");
        let (terminals, container) = (self.clone(), container.clone());
        let session = Session::new(opened, self.0.limits);
        self.0.tasks.spawn(async move {
            let outcome = session.run(received).await;
            terminals.0.supervisors.leave(&container, Some(pid)).await;
            terminals.held().remove(&id);
            drop(room);
            terminals.note(id, outcome).await;
        });
        Ok(())
    }

    /// Whether this worker holds it.
    pub fn holds(&self, instance: &InstanceId, id: TerminalId) -> bool {
        self.held().get(&id).is_some_and(|held| held.instance == *instance)
    }

    /// Attaches a WebSocket and detaches the previous one.
    pub async fn attach(&self, id: TerminalId, from: Option<u64>, socket: WebSocket) {
        let held = self.held().get(&id).cloned();
        if let Some(held) = held {
            let _ = held.orders.send(Order::Attach { socket: Box::new(socket), from }).await;
        }
    }

    /// Closes all terminals in an instance whose container will be stopped, whichever worker holds them, and waits at
    /// most a second: a container can be stopped with open terminals too.
    pub async fn close_instance(&self, instance: &InstanceId) {
        let began = Instant::now();
        let asked =
            async { terminal::close_all_in(&mut *self.0.db.conn().await?, instance, TerminalEnd::Stopping).await };
        let asked =
            tokio::time::timeout(CLOSE_LIMIT, asked).await.unwrap_or(Err(clawdeploy_shared::db::DbError::Timeout));
        self.end(|held| held.instance == *instance, TerminalEnd::Stopping);
        if asked.as_ref().is_ok_and(|open| *open == 0) {
            return;
        }
        if let Err(error) = &asked {
            tracing::warn!(error = chain(error), %instance, "Could not ask other workers to close terminals");
        }
        while began.elapsed() < CLOSE_LIMIT {
            let ours = self.held().values().any(|held| held.instance == *instance);
            let open = async { terminal::count_living(&mut *self.0.db.conn().await?, instance).await };
            if !ours && open.await.is_ok_and(|open: i64| open == 0) {
                return;
            }
            sleep(CLOSE_POLL).await;
        }
        tracing::warn!(%instance, "Terminals did not close in time");
    }

    /// Closes all terminals because the worker stops, and waits until that is recorded.
    pub async fn close_all(&self) {
        self.end(|_| true, TerminalEnd::Draining);
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Tells some terminals to end.
    fn end(&self, which: impl Fn(&Held) -> bool, reason: TerminalEnd) {
        let some: Vec<Held> = self.held().values().filter(|held| which(held)).cloned().collect();
        for held in some {
            // A session takes its orders promptly.
            tokio::spawn(async move { held.orders.send(Order::End(reason)).await });
        }
    }

    async fn note(&self, id: TerminalId, outcome: Outcome) {
        let Outcome { reason, exit_code, bytes_in, bytes_out } = outcome;
        tracing::info!(terminal = %id, %reason, exit_code, bytes_in, bytes_out, "A terminal ended");
        let ended = terminal::Ended { reason, exit_code, bytes_in, bytes_out };
        for turn in 1..=NOTE_TRIES {
            let noted = async { terminal::end(&mut *self.0.db.conn().await?, id, ended).await };
            let Err(error): Result<bool, clawdeploy_shared::db::DbError> = noted.await else { return };
            tracing::warn!(error = chain(&error), terminal = %id, turn, "Could not record the end of a terminal");
            sleep(NOTE_PAUSE).await;
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TerminalId, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
