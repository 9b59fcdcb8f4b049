//! Workers as the API returns them to administrators.

use clawdeploy_shared::db::worker::Worker;
use serde::Serialize;
use utoipa::ToSchema;

/// A worker process, and whether it is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerView {
    #[serde(flatten)]
    worker: Worker,
    /// Whether its last heartbeat is recent.
    alive: bool,
    /// Reason why it is standing by; null: it is not.
    standby: Option<StandbyView>,
}

/// The reason why a worker is standing by: its database, data directory and Docker engine do not belong together.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandbyView {
    /// `wrong_database`, `wrong_data_dir`, `wrong_engine` or `data_dir_unreadable`; more can be added.
    code: String,
    /// Message for people, including what to do.
    message: String,
}

impl WorkerView {
    pub(crate) fn new((mut worker, alive): (Worker, bool)) -> Self {
        let message = worker.standby_message.take().unwrap_or_default();
        let standby = worker.standby_code.take().map(|code| StandbyView { code, message });
        Self { worker, alive, standby }
    }
}
