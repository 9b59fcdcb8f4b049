//! What events and passes have in common: the checks, and what is remembered between them.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use clawdeploy_shared::{db::sweep::SweepReport, ids::InstanceId, telemetry::chain};
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    checks::{Check, Checks, Told},
    compare::{Comparison, Difference, Memory, Suspect},
    correct::Correction,
};
use crate::{
    reconcile::{SweepError, SweepResult, crash_loop},
    runtime::{InstanceAction, InstanceEvent},
};

/// Instances that a pass checks at once.
const SIDE_BY_SIDE: usize = 64;

/// How long a pass checks: a little longer than a gateway is asked for. What is under way then goes on and is reported by
/// the next pass; what has not begun waits for that.
const PASS_LIMIT: Duration = Duration::from_secs(3);

pub(super) type Found = Result<Correction, SweepError>;

/// Checks what events and passes point to. Clones share everything.
#[derive(Debug)]
pub(super) struct Watcher<C> {
    memory: Memory,
    checks: Checks<C>,
    tell: mpsc::UnboundedSender<Told<Found>>,
    /// What checks of this worker's passes tell.
    told: Arc<Mutex<mpsc::UnboundedReceiver<Told<Found>>>>,
}

impl<C> Clone for Watcher<C> {
    fn clone(&self) -> Self {
        let Self { memory, checks, tell, told } = self;
        Self { memory: memory.clone(), checks: checks.clone(), tell: tell.clone(), told: Arc::clone(told) }
    }
}

impl<C: Check<Found = Found>> Watcher<C> {
    pub(super) fn new(memory: Memory, check: C, draining: CancellationToken) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self { memory, checks: Checks::new(check, draining), tell, told: Arc::new(Mutex::new(told)) }
    }

    /// Takes note of an event. Never waits for a check, so that no gateway delays the events of another.
    pub(super) fn hear(&self, event: &InstanceEvent) {
        self.memory.deaths.note(event);
        if event.action != InstanceAction::Oom {
            self.checks.ask(&event.instance);
        }
    }

    /// Waits for the end of all checks. Called once the worker drains.
    pub(super) async fn ended(&self) {
        self.checks.ended().await;
    }

    /// Checks the instances that may have drifted.
    pub(super) async fn pass(&self, comparison: Comparison<'_>, address: impl Fn(u16) -> SocketAddr) -> SweepResult {
        let deadline = Instant::now() + PASS_LIMIT;
        let suspects = self.memory.compare(comparison, address);
        let mut report = SweepReport::of(comparison.rows.len());
        self.check(suspects, deadline, &mut report).await?;
        Ok(report)
    }

    async fn check(
        &self,
        suspects: Vec<Suspect>,
        deadline: Instant,
        report: &mut SweepReport,
    ) -> Result<(), SweepError> {
        let mut told = self.told.lock().await;
        // What earlier passes left under way.
        while let Ok(news) = told.try_recv() {
            if let Told::Found(id, found) | Told::Late(id, found) = news {
                tell(report, &id, found);
            }
        }
        let mut suspects = suspects.into_iter();
        let mut differences: HashMap<InstanceId, Difference> = HashMap::new();
        let mut under_way = 0;
        loop {
            while under_way < SIDE_BY_SIDE
                && let Some(suspect) = suspects.next()
            {
                if self.checks.begin(&suspect.id, suspect.how, &self.tell) {
                    under_way += 1;
                    self.memory.has_turn(&suspect);
                    differences.extend(suspect.difference.map(|difference| (suspect.id, difference)));
                }
            }
            if under_way == 0 {
                return Ok(());
            }
            let Ok(Some(news)) = timeout_at(deadline, told.recv()).await else { return Ok(()) };
            // One that an earlier pass began may count here too. Then one more runs at once.
            under_way -= usize::from(!matches!(news, Told::Late(..)));
            match news {
                Told::Right(id) => {
                    if let Some(difference) = differences.remove(&id) {
                        self.memory.was_right(&id, difference);
                    }
                }
                Told::Slow => {}
                // The others would wait for the same time limit.
                Told::Found(_, Err(error)) if error.is_hopeless() => return Err(error),
                Told::Found(id, found) | Told::Late(id, found) => tell(report, &id, found),
            }
        }
    }
}

fn tell(report: &mut SweepReport, id: &InstanceId, found: Found) {
    match found {
        Ok(Correction { to, error: Some(code), .. }) if code == crash_loop::CODE => {
            report.repaired(&code, id, format!("Its gateway kept crashing and was stopped. Its status is now {to}."));
        }
        Ok(Correction { from, to, error }) => {
            let why = error.map(|code| format!(" ({code})")).unwrap_or_default();
            report.repaired("status_corrected", id, format!("Its status was {from} and is now {to}{why}."));
        }
        Err(error) => report.reported("not_checked", id, format!("It could not be checked: {}.", chain(&error))),
    }
}

#[cfg(test)]
mod tests;
