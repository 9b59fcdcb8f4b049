//! Follows the database for this worker's terminals, and cleans up after vanished workers.

use std::time::Duration;

use clawdeploy_shared::{
    db::{DbError, terminal},
    ids::{InstanceId, TerminalId},
    rpc::terminal::TerminalEnd,
    telemetry::chain,
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Terminals, shell::marked};
use crate::{
    identity::Identity,
    runtime::{GatewayStatus, Reference, RuntimeError},
};

/// Delay between two reads of the rows of terminals open here.
const LOOK: Duration = Duration::from_millis(500);
/// Number of such reads between two clean-ups.
const ROUNDS: u32 = 20;
/// Time limit of one round.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("a database query failed")]
    Db(#[from] DbError),
    #[error("a call to Docker failed")]
    Runtime(#[from] RuntimeError),
}

impl Terminals {
    /// Runs until the worker drains. While it stands by, its terminals end and those of others are left alone.
    pub async fn watch(self, draining: CancellationToken, identity: Identity) {
        tokio::spawn(self.clone().sweep_all(identity.clone()));
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut round, mut steady) = (0, false);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = draining.cancelled() => return,
            }
            if !identity.belongs() {
                self.end(|_| true, TerminalEnd::Draining);
                (round, steady) = (0, false);
                continue;
            }
            let thorough = round == 0;
            round = (round + 1) % ROUNDS;
            if !thorough && self.held().is_empty() {
                continue;
            }
            match timeout(LOOK_LIMIT, self.look(thorough, steady)).await {
                Ok(Ok(())) => {
                    steady |= thorough;
                    continue;
                }
                Ok(Err(error)) => tracing::warn!(error = chain(&error), "Could not check the terminals"),
                Err(_) => tracing::warn!("Checking the terminals took too long"),
            }
            steady = false;
        }
    }

    /// `steady`: the database has been answering for a while, so that workers without a heartbeat are gone.
    async fn look(&self, thorough: bool, steady: bool) -> Result<(), WatchError> {
        // Read before the rows: a row exists before its terminal.
        let ours: Vec<TerminalId> = self.held().keys().copied().collect();
        let mut conn = self.0.db.conn().await?;
        let rows = terminal::held(&mut conn, &self.0.worker).await?;
        for id in ours {
            let reason = match rows.iter().find(|(row, _)| *row == id) {
                Some((_, None)) => continue,
                Some((_, Some(reason))) => *reason,
                None => TerminalEnd::Closed,
            };
            let held = self.held().get(&id).cloned();
            if let Some(held) = held {
                let _ = held.orders.try_send(super::Order::End(reason));
            }
        }
        if !thorough {
            return Ok(());
        }
        let forgotten: Vec<_> = rows.iter().map(|(id, _)| *id).filter(|id| !self.held().contains_key(id)).collect();
        if !forgotten.is_empty() {
            terminal::end_forgotten(&mut conn, &self.0.worker, &forgotten).await?;
        }
        let lost = if steady { terminal::end_lost(&mut conn).await? } else { Vec::new() };
        terminal::forget_old(&mut conn).await?;
        drop(conn);
        for instance in lost {
            self.sweep(&instance).await?;
        }
        Ok(())
    }

    /// Ends, in all containers, terminals of workers that were killed at the wrong moment. Runs once, when this worker
    /// starts.
    async fn sweep_all(self, identity: Identity) {
        identity.works().await;
        let swept = async {
            for container in self.0.runtime.gateways().await? {
                if container.status == GatewayStatus::Running {
                    self.sweep_container(&container.id).await?;
                }
            }
            Ok::<_, WatchError>(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(error = chain(&error), "Could not look for terminals that were left");
        }
    }

    async fn sweep(&self, instance: &InstanceId) -> Result<(), WatchError> {
        for container in self.0.runtime.gateways_of(instance).await? {
            if container.status == GatewayStatus::Running {
                self.sweep_container(&container.id).await?;
            }
        }
        Ok(())
    }

    async fn sweep_container(&self, container: &Reference) -> Result<(), WatchError> {
        // First what there is, then which of it is meant to be.
        let running = self.0.runtime.running_execs(container).await?;
        let there: Vec<TerminalId> = running.iter().filter_map(|exec| marked(&exec.arguments)).collect();
        if there.is_empty() {
            return Ok(());
        }
        let open = terminal::open_among(&mut *self.0.db.conn().await?, &there).await?;
        let left: Vec<TerminalId> = there.into_iter().filter(|id| !open.contains(id)).collect();
        if !left.is_empty() {
            tracing::warn!(%container, terminals = left.len(), "Ending terminals left by another worker");
            self.0.supervisors.end_strangers(container, &left).await?;
        }
        Ok(())
    }
}
