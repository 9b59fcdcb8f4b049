//! The job engine: how jobs that wait in Postgres come to run here, each on one worker at a time.
//!
//! - [`doorbell`] listens to Redis and only says "look".
//! - [`dispatch`] claims due jobs while there is room and spawns each as a task of its own, so that nothing that
//!   happens to Redis, or to the future that rang, can cancel work.
//! - [`keeper`] renews the leases of what runs, takes back those of vanished workers and looks for work that no ring
//!   announced.
//! - [`ledger`] ends jobs that concern no instance, many in one statement.
//! - [`runner`] takes one claimed job through its steps, or back through their undos.

use std::sync::Arc;

use clawdeploy_shared::{db::Db, doorbell::Doorbell, secret::Sealer};
use tokio_util::sync::CancellationToken;

use self::ledger::Ledger;
use crate::{
    config::WorkerConfig, docker::Docker, identity::Identity, nginx::Routes, probe::Probe, storage::Storage,
    terminal::Terminals, usage::UsageMeter,
};

pub mod active;
pub mod context;
pub mod dispatch;
pub mod doorbell;
pub mod error;
pub mod keeper;
pub mod kill_point;
pub mod ledger;
pub mod prune;
pub mod runner;
pub mod secrets;

/// What jobs work with; one for the process.
#[derive(Debug, Clone)]
pub struct Env {
    /// Name of this worker: new with every start.
    pub worker: Arc<str>,
    pub config: Arc<WorkerConfig>,
    pub db: Db,
    /// Whether database, data directory and engine belong together: where they do not, nothing is done.
    pub identity: Identity,
    pub doorbell: Doorbell,
    pub sealer: Sealer,
    pub docker: Docker,
    pub storage: Storage,
    pub probe: Probe,
    pub routes: Routes,
    pub ledger: Ledger,
    pub terminals: Terminals,
    pub usage: UsageMeter,
    /// Set when the worker is about to end: take nothing new, stop at the next safe point.
    pub draining: CancellationToken,
}
