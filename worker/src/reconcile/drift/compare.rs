//! Compares the engine's list of containers with the rows, in memory.
//!
//! What agrees costs nothing. What differs, or may have been restarted unnoticed, is looked at in detail. That a gateway
//! answers is in no list: those that may have become ready are asked in every pass, and a share of those that should be
//! ready in turn.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use clawdeploy_shared::{db::watched::WatchedInstance, ids::InstanceId, instance::InstanceStatus};

use super::checks::How;
use crate::{
    observe::is_of_a_stop,
    reconcile::crash_loop::Deaths,
    runtime::{GatewayStatus, OwnedGateway},
    steps::warm,
};

/// How often a running gateway is asked whether it answers. A gateway that exits shows in Docker's events at once; this
/// is for one that hangs, which its owner notices about as fast. At 10 000 gateways it makes 170 requests a second.
const ASKED_EVERY: Duration = Duration::from_mins(1);

/// A pass asks at least this many, so that small installations are asked in every pass.
const ASKED_AT_LEAST: usize = 32;

/// What a container shows without an inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reconcile) enum Shown {
    Gone,
    Running,
    Paused,
    Restarting,
    /// It exited as a stop makes it, or never ran.
    Stopped,
    /// It exited otherwise, or is being removed.
    Failed,
}

impl Shown {
    /// The rule of [`crate::observe::judge`], without what only an inspection tells: lack of memory.
    pub(in crate::reconcile) fn of(status: GatewayStatus, exit_code: Option<i64>) -> Self {
        match status {
            GatewayStatus::Running => Self::Running,
            GatewayStatus::Paused => Self::Paused,
            GatewayStatus::Restarting => Self::Restarting,
            GatewayStatus::Exited | GatewayStatus::Created if exit_code.is_none_or(is_of_a_stop) => Self::Stopped,
            GatewayStatus::Exited | GatewayStatus::Created | GatewayStatus::Dead | GatewayStatus::Removing => {
                Self::Failed
            }
        }
    }
}

/// What follows from a row and what its container shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// They agree, as far as the list tells.
    Agrees,
    /// Ready is what it should be. It is asked in turn.
    AskInTurn,
    /// It may have become ready. It is asked now.
    Ask,
    Differs,
}

fn judge(status: InstanceStatus, error: Option<&str>, shown: Shown) -> Judgement {
    use InstanceStatus::{Error, Running, Starting, Stopped};
    let agrees = match (status, shown) {
        (Error, _) if is_of_another(error) => true,
        // The breaker has to look at it, whatever the row says.
        (_, Shown::Restarting) => false,
        (Running, Shown::Running) => return Judgement::AskInTurn,
        (Starting, Shown::Running) => return Judgement::Ask,
        // The error tells more than the container does, until the gateway answers.
        (Error, Shown::Running) if !is_drift_error(error) => return Judgement::Ask,
        (Error, _) if !is_drift_error(error) => true,
        (Error, Shown::Gone) => error == Some("container_gone"),
        (Error, Shown::Paused) => error == Some("container_paused"),
        (Error, Shown::Failed) => matches!(error, Some("gateway_exited" | "gateway_out_of_memory")),
        (Error, Shown::Stopped) => error == Some("gateway_out_of_memory"),
        (Stopped, Shown::Stopped) => true,
        _ => false,
    };
    if agrees { Judgement::Agrees } else { Judgement::Differs }
}

/// Whether an error says that the gateway is somebody else's. That it answers must not let the instance's owner in.
pub(super) fn is_of_another(code: Option<&str>) -> bool {
    code == Some(warm::TAKEN)
}

/// Whether an error only reflects the container, and so ends when that changes.
pub(super) fn is_drift_error(code: Option<&str>) -> bool {
    matches!(code, Some("container_gone" | "container_paused" | "gateway_exited" | "gateway_out_of_memory"))
}

/// A difference that was looked at and found right, as after a failed job: the error in the row tells more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    row: WatchedInstance,
    shown: Shown,
}

/// What a worker remembers of an instance.
#[derive(Debug, Clone, Default)]
struct Known {
    /// When it last had its turn.
    turn: Option<Instant>,
    right: Option<Difference>,
}

/// What a worker remembers between passes. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub(in crate::reconcile) deaths: Deaths,
    known: Arc<Mutex<HashMap<InstanceId, Known>>>,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// Read after the containers.
    pub rows: &'a [WatchedInstance],
    pub containers: &'a [OwnedGateway],
    /// When the containers were listed.
    pub now: DateTime<Utc>,
    /// Time between two passes.
    pub period: Duration,
}

/// An instance to check.
#[derive(Debug)]
pub struct Suspect {
    pub(super) id: InstanceId,
    pub(super) how: How,
    /// What is remembered if nothing is wrong with it.
    pub(super) difference: Option<Difference>,
    in_turn: bool,
}

impl Suspect {
    /// Whether it is to be looked at in detail, which costs statements and an inspection, not only asked.
    pub fn is_detailed(&self) -> bool {
        self.how == How::Whole
    }
}

impl Memory {
    /// Which of these instances to check in this pass: first those that differ or may be ready, then those whose turn it
    /// is. `address` is that of the gateway at a port.
    pub fn compare(&self, comparison: Comparison<'_>, address: impl Fn(u16) -> SocketAddr) -> Vec<Suspect> {
        let Comparison { rows, containers, now, period } = comparison;
        let listed: HashMap<&str, &OwnedGateway> = containers.iter().map(|found| (found.id.as_str(), found)).collect();
        let mut known = self.known();
        let rows_now: HashSet<&InstanceId> = rows.iter().map(|row| &row.id).collect();
        known.retain(|id, _| rows_now.contains(id));
        drop(rows_now);

        let (mut suspects, mut in_turn) = (Vec::new(), Vec::new());
        for row in rows {
            let found = listed.get(row.container_id.as_str()).copied();
            let shown = found.map_or(Shown::Gone, |found| Shown::of(found.status, found.exit_code));
            let ask = |ready| match row.port() {
                Some(port) => How::Ask { gateway: address(port), ready },
                None => How::Whole,
            };
            let suspect = |how, in_turn| Suspect { id: row.id.clone(), how, difference: None, in_turn };
            let restarted = found.is_some_and(|found| self.was_restarted(found, now));
            match judge(row.status, row.error_code.as_deref(), shown) {
                _ if restarted => suspects.push(suspect(How::Whole, false)),
                Judgement::Agrees => {}
                Judgement::Ask => suspects.push(suspect(ask(false), false)),
                Judgement::AskInTurn => in_turn.push(suspect(ask(true), true)),
                Judgement::Differs => {
                    let difference = Difference { row: row.clone(), shown };
                    // A container that restarts is news each time.
                    let is_known = shown != Shown::Restarting
                        && known.get(&row.id).is_some_and(|known| known.right.as_ref() == Some(&difference));
                    let suspect = Suspect { difference: Some(difference), ..suspect(How::Whole, is_known) };
                    let queue = if is_known { &mut in_turn } else { &mut suspects };
                    queue.push(suspect);
                }
            }
        }
        // Never first, then the longest waiting.
        in_turn.sort_by_key(|suspect| known.get(&suspect.id).and_then(|known| known.turn));
        in_turn.truncate(share(in_turn.len(), period));
        suspects.append(&mut in_turn);
        suspects
    }

    /// Whether a running container may have been started since it was last looked at. If not, that it was not is
    /// remembered.
    fn was_restarted(&self, found: &OwnedGateway, now: DateTime<Utc>) -> bool {
        let (GatewayStatus::Running, Some(up)) = (found.status, found.up) else { return false };
        let Ok(up) = chrono::TimeDelta::from_std(up) else { return false };
        self.deaths.was_restarted(&found.id, now - up, now)
    }

    /// Notes that an instance is being checked.
    pub(super) fn has_turn(&self, suspect: &Suspect) {
        if suspect.in_turn {
            self.known().entry(suspect.id.clone()).or_default().turn = Some(Instant::now());
        }
    }

    /// Notes that nothing was wrong with an instance although it differed.
    pub(super) fn was_right(&self, id: &InstanceId, difference: Difference) {
        self.known().entry(id.clone()).or_default().right = Some(difference);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<InstanceId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many of `count` have their turn in one of the passes of a minute.
fn share(count: usize, period: Duration) -> usize {
    let passes = ASKED_EVERY.as_secs_f64() / period.as_secs_f64().max(0.1);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 600")]
    count.div_ceil((passes as usize).max(1)).max(ASKED_AT_LEAST)
}

#[cfg(test)]
mod tests;
