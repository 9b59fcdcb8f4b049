//! Limits how many gateways boot at once, and waits longer for each while many do.
//!
//! A boot is bound by CPU. Gateways that jobs start wait for a slot (`CLAWDEPLOY_BOOTS_AT_ONCE`, over all workers), of
//! which an owner never holds more than are free.
//! Gateways that boot by themselves, as all do after a reboot of the host, take a slot too. Running gateways and those
//! that an undo starts do not wait.
//!
//! Waiting for a gateway is measured in its share of the CPU: while six gateways boot on two cores, three seconds count
//! as one. The limit thus allows the same work under any load, and is at most [`MOST_SLOWDOWN`] times as long.

use clawdeploy_shared::{
    db::{
        boot::{self, Admission, Ask},
        job_event, sleep,
    },
    job::JobEventKind,
};
use tokio::time::{Duration, Instant};

use crate::{
    env::Env,
    job::{context::JobContext, error::StepError},
    observe::ObserveError,
    runtime::RuntimeError,
};

/// Delay between two requests for a slot.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Delay between two log lines about the wait.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Longest wait for a slot. After that the job continues, because a slow boot is better than none.
const MOST_WAIT: Duration = Duration::from_mins(10);

/// Most that a boot may be slowed down by others.
const MOST_SLOWDOWN: f64 = 6.0;

/// Delay between two counts of booting gateways.
const LOOK: Duration = Duration::from_secs(2);

/// Ratio of a boot's time to its time alone above which a boot counts as slowed down by others.
const SLOWED: f64 = 1.25;

/// CPU cores of the engine.
async fn cores(env: &Env) -> Result<i64, RuntimeError> {
    Ok(i64::from(env.runtime.cpu_millis().await? / 1000).max(1))
}

async fn slots(env: &Env) -> Result<usize, RuntimeError> {
    let slots = match env.config.instances.boots_at_once {
        // One for each core for a single owner, who gets half of them. Part of a boot is waiting for the disk.
        0 => (2 * cores(env).await?).max(4),
        slots => i64::from(slots),
    };
    Ok(usize::try_from(slots).unwrap_or(usize::MAX))
}

/// Waits until the gateway may boot. With `at_once` it is only counted and does not wait.
pub(super) async fn wait_for_slot(cx: &JobContext, at_once: bool) -> Result<(), StepError> {
    let slots = slots(&cx.env).await?;
    let began = Instant::now();
    let mut told: Option<((usize, usize), Instant)> = None;
    loop {
        cx.check()?;
        let late = began.elapsed() > MOST_WAIT;
        let ask = Ask { slots, by_system: !sleep::is_awaited(&cx.job), at_once: at_once || late };
        let admission = boot::ask(&mut *cx.env.db.conn().await?, &cx.lease, ask).await?;
        let Admission::Waits { booting, ahead } = admission else { break };
        let news = (booting, ahead);
        if told.is_none_or(|(before, at)| before != news && at.elapsed() > TELL_AGAIN) {
            told = Some((news, Instant::now()));
            cx.log(&format!(
                "Waiting for its turn to boot: {booting} gateways are booting and {ahead} are ahead of it"
            ))
            .await?;
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_AGAIN) => {}
            () = cx.told_to_stop() => {}
        }
    }
    match told {
        Some(_) => cx.log(&format!("Got its turn after {:.0} s", began.elapsed().as_secs_f64())).await,
        None => Ok(()),
    }
}

/// Releases the slot: the gateway has booted or is no longer waited for.
pub(super) async fn leave(cx: &JobContext) -> Result<(), StepError> {
    Ok(boot::leave(&mut *cx.env.db.conn().await?, &cx.lease).await?)
}

/// How much slower gateways boot now than one alone.
pub(crate) async fn slowdown(env: &Env) -> Result<f64, ObserveError> {
    let booting = boot::count(&mut *env.db.conn().await?).await?;
    Ok(of(booting, cores(env).await?))
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn of(booting: i64, cores: i64) -> f64 {
    (booting as f64 / cores as f64).clamp(1.0, MOST_SLOWDOWN)
}

/// How long to wait for a gateway.
#[derive(Debug)]
pub(super) struct Patience {
    budget: Duration,
    /// Elapsed time, divided by the slowdown: about what the boot would have taken alone.
    spent: Duration,
    elapsed: Duration,
    at: Instant,
    looked: Option<Instant>,
    slowdown: f64,
}

impl Patience {
    pub(super) fn new(budget: Duration) -> Self {
        Self { budget, spent: Duration::ZERO, elapsed: Duration::ZERO, at: Instant::now(), looked: None, slowdown: 1.0 }
    }

    /// Whether to continue waiting.
    pub(super) async fn lasts(&mut self, env: &Env) -> Result<bool, StepError> {
        if self.looked.is_none_or(|looked| looked.elapsed() > LOOK) {
            self.slowdown = slowdown(env).await?;
            self.looked = Some(Instant::now());
        }
        let passed = self.at.elapsed();
        self.at += passed;
        self.pass(passed);
        Ok(self.spent <= self.budget)
    }

    fn pass(&mut self, time: Duration) {
        self.elapsed += time;
        self.spent += time.div_f64(self.slowdown);
    }

    /// Whether other boots explain the delay.
    pub(super) fn was_slowed(&self) -> bool {
        self.elapsed.as_secs_f64() > SLOWED * self.spent.as_secs_f64()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

/// The step that starts the container.
const START: &str = "start_container";

/// Log lines that say that the container was already running, or that the job is about to start it. Later attempts and
/// other workers compare these exact strings.
const FOUND_RUNNING: &str = "Its container runs already; it is waited for, and left running whatever comes of that";
const STARTING: &str = "Starting it";

/// Who started the container of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starter {
    /// It was running when the job first looked.
    Others,
    /// This job started it, or was about to.
    Job,
    /// The job has not seen the container yet.
    Nobody,
}

/// Records that a start found its container running, so that the undo does not stop it. A later attempt may find what
/// an earlier one started, so only the first record counts.
pub(super) async fn note_found_running(cx: &JobContext) -> Result<(), StepError> {
    note_first(cx, FOUND_RUNNING).await
}

/// Records that a start is about to start its container. Must be called before it does.
pub(super) async fn note_starting(cx: &JobContext) -> Result<(), StepError> {
    note_first(cx, STARTING).await
}

/// Only the first record counts.
async fn note_first(cx: &JobContext, words: &str) -> Result<(), StepError> {
    match starter(cx).await? {
        Starter::Nobody => cx.log_step(START, words).await,
        Starter::Others | Starter::Job => Ok(()),
    }
}

/// Whether this job started its container or was about to.
pub(super) async fn has_started(cx: &JobContext) -> Result<bool, StepError> {
    Ok(starter(cx).await? == Starter::Job)
}

async fn starter(cx: &JobContext) -> Result<Starter, StepError> {
    let events = job_event::list(&mut *cx.env.db.conn().await?, cx.job.id, 0, i64::MAX).await?;
    Ok(starter_in(events.iter().map(|event| (event.kind, event.step.as_deref(), event.message.as_str()))))
}

/// Reads the first record since the job was accepted or retried.
fn starter_in<'a>(events: impl Iterator<Item = (JobEventKind, Option<&'a str>, &'a str)>) -> Starter {
    let mut starter = Starter::Nobody;
    for (kind, step, message) in events {
        match kind {
            JobEventKind::Accepted => starter = Starter::Nobody,
            _ if step != Some(START) || starter != Starter::Nobody => {}
            JobEventKind::Log if message == FOUND_RUNNING => starter = Starter::Others,
            JobEventKind::Log if message == STARTING => starter = Starter::Job,
            // Written by an older worker, which recorded nothing before the start.
            JobEventKind::StepDone => starter = Starter::Job,
            _ => {}
        }
    }
    starter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_slow_each_other_down_within_bounds() {
        let slowdowns = [(0, 2), (2, 2), (6, 2), (100, 2), (6, 16)].map(|(booting, cores)| of(booting, cores));
        let expected = [1.0, 1.0, 3.0, MOST_SLOWDOWN, 1.0];
        assert!(slowdowns.iter().zip(expected).all(|(found, right)| (found - right).abs() < 1e-9), "{slowdowns:?}");
    }

    #[test]
    fn time_counts_by_the_share_of_the_cpu() {
        let mut patience = Patience::new(Duration::from_mins(3));
        patience.slowdown = 3.0;
        patience.pass(Duration::from_mins(5));
        assert_eq!(patience.spent, Duration::from_secs(100));
        assert!(patience.was_slowed());
        // The other boots are done, so all of it counts.
        patience.slowdown = 1.0;
        patience.pass(Duration::from_secs(80));
        assert_eq!(patience.spent, patience.budget);

        let mut alone = Patience::new(Duration::from_mins(3));
        alone.pass(Duration::from_secs(181));
        assert!(alone.spent > alone.budget && !alone.was_slowed());
    }

    #[test]
    fn only_what_the_job_has_started_is_its_to_stop() {
        use JobEventKind::{Accepted, Log, StepDone, StepFailed, StepStarted};
        let begun = (StepStarted, Some(START), "");
        let (found, starting) = ((Log, Some(START), FOUND_RUNNING), (Log, Some(START), STARTING));
        let failed = (StepFailed, Some(START), "The engine does not answer.");
        for (events, starter) in [
            (vec![], Starter::Nobody),
            // The first attempt failed before it saw the container.
            (vec![begun, failed], Starter::Nobody),
            (vec![begun, failed, begun, found], Starter::Others),
            // A later attempt finds what an earlier one started.
            (vec![begun, starting, failed, begun], Starter::Job),
            (vec![begun, (StepDone, Some(START), ""), begun], Starter::Job),
            (vec![begun, found, (StepDone, Some(START), "")], Starter::Others),
            (vec![begun, (Log, Some(START), "other words")], Starter::Nobody),
            (vec![begun, (Log, None, STARTING)], Starter::Nobody),
            // Retried by an administrator.
            (vec![begun, starting, (Accepted, None, ""), begun], Starter::Nobody),
        ] {
            assert_eq!(starter_in(events.iter().copied()), starter, "{events:?}");
        }
    }
}
