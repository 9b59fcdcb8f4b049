//! Drift: containers that crashed or were stopped, paused, removed or started by something else.
//!
//! An instance has drifted if it has no open job, its row names a container, and that container shows another status
//! than the row or another reason for an error. The row is corrected. The container is not touched, unless its gateway
//! is in a crash loop (see `crash_loop`).
//!
//! An instance with a stuck change is left for an administrator.
//!
//! An error from a job or the breaker stays until the gateway answers: a stopped container is no news about it.
//!
//! Every worker follows Docker's events and checks the instance of each event. The sweep finds what events missed. It
//! reads one list of containers and one of rows, compares them in memory, and looks only at the instances that differ
//! (`drift/compare.rs`). The write is guarded, so the order does not matter.
//!
//! Gateways are asked for two seconds. One that was ready before and is slow may only be busy: its own commands can keep
//! it from answering for a dozen seconds. So it stays `running` until it was waited for in the background
//! (`drift/checks.rs`), for as long as [`is_still_ready`](crate::probe::Probe::is_still_ready) allows, and was slow
//! again after that.

use std::time::Duration;

use chrono::Utc;
use clawdeploy_shared::{db::watched, instance::InstanceStatus, telemetry::chain};
use futures_util::{StreamExt as _, stream::BoxStream};

pub(super) use self::compare::Shown;
pub use self::compare::{Comparison, Memory, Suspect};
use self::{correct::Inspector, watcher::Watcher};
use super::{SweepResult, listing::Listing};
use crate::{
    env::Env,
    runtime::{InstanceEvent, RuntimeError},
};

mod checks;
mod compare;
mod correct;
mod watcher;

/// Delay before subscribing to Docker's events again.
const RECONNECT: Duration = Duration::from_secs(2);

/// Statuses with which an instance should have a container.
pub const WATCHED: [InstanceStatus; 5] = [
    InstanceStatus::Running,
    InstanceStatus::Starting,
    InstanceStatus::Stopping,
    InstanceStatus::Stopped,
    InstanceStatus::Error,
];

/// What finds and corrects drift. Clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Drift {
    env: Env,
    watcher: Watcher<Inspector>,
}

impl Drift {
    pub(super) fn new(env: Env) -> Self {
        let memory = Memory::default();
        let inspector = Inspector { env: env.clone(), deaths: memory.deaths.clone() };
        let watcher = Watcher::new(memory, inspector, env.draining.clone());
        Self { env, watcher }
    }

    /// Follows Docker's events until the worker drains and the checks have ended.
    pub(super) async fn watch(&self) {
        tokio::select! {
            () = self.follow() => {}
            () = self.env.draining.cancelled() => self.watcher.ended().await,
        }
    }

    async fn follow(&self) {
        loop {
            match self.env.runtime.events().await {
                Ok(events) => self.hear(events).await,
                Err(error) => tracing::warn!(error = chain(&error), "Could not subscribe to Docker's events"),
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn hear(&self, mut events: BoxStream<'static, Result<InstanceEvent, RuntimeError>>) {
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    tracing::debug!(instance.id = %event.instance, action = ?event.action, "Docker reported a change");
                    self.watcher.hear(&event);
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "The stream of Docker's events ended");
                    return;
                }
            }
        }
    }

    /// Checks the instances that may have drifted.
    pub(super) async fn sweep(&self, listing: &Listing) -> SweepResult {
        let containers = listing.refresh(&self.env.runtime).await?;
        let now = Utc::now();
        let rows = watched::list(&mut *self.env.db.conn().await?, &WATCHED).await?;
        let period = self.env.config.engine.reconcile;
        let address = |port| self.env.runtime.address(port);
        self.watcher.pass(Comparison { rows: &rows, containers: &containers, now, period }, address).await
    }
}
