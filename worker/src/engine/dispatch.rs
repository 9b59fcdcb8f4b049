//! Claims due jobs while there is room and spawns each as a task of its own.
//!
//! A claim whose response is lost may still commit. The database then has jobs running on a worker that does not know
//! them, and after the lease they would count as crashes. So after a failed claim the dispatcher gives back every job
//! that the database lists for this worker and queue but that is not registered here. It does so before each further
//! claim, until the lost claim can no longer commit. A job that this version cannot read is given back too, with a
//! delay.

use std::{sync::Arc, time::Duration};

use clawdeploy_shared::{
    db::{
        DbError,
        job::Job,
        lease::{self, Lease},
    },
    fair_slots::FairSlots,
    job::Queue,
    metrics::JOB_WAIT_SECONDS,
    telemetry::chain,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::{active::Active, completion::CompletionBatch, room::Room, runner, within};
use crate::env::Env;

/// How long to wait for more free slots before a claim while most are taken. Jobs end one by one, and each claim costs
/// a commit: with many slots free, one commit serves many jobs.
const GATHER: Duration = Duration::from_millis(3);

/// Delay before a job that could not be read may be claimed again, so that a newer worker can take it.
const UNREADABLE_DELAY: Duration = Duration::from_mins(1);

/// Serves one queue.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    pub queue: Queue,
    env: Env,
    room: Room,
    look: Arc<Notify>,
    active: Active,
    tasks: TaskTracker,
    completions: CompletionBatch,
}

impl Dispatcher {
    pub fn new(env: Env, queue: Queue, active: Active, tasks: TaskTracker, completions: CompletionBatch) -> Self {
        let room = Room::new(env.config.engine.concurrency(queue));
        Self { queue, env, room, look: Arc::new(Notify::new()), active, tasks, completions }
    }

    /// Asks the dispatcher to look for work. Requests made before it looks are merged.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Looks whenever asked to, until the worker drains.
    pub async fn run(self) {
        // A draining worker must wait for a claim that is under way, to hand its jobs back.
        let _underway = self.tasks.token();
        let mut lost_claims_until = None;
        loop {
            tokio::select! {
                biased;
                () = self.env.draining.cancelled() => break,
                () = self.look.notified() => self.claim_all(&mut lost_claims_until).await,
            }
        }
        if lost_claims_until.is_some()
            && let Err(error) = self.give_back_lost_claims(Duration::ZERO).await
        {
            tracing::warn!(queue = %self.queue, error = chain(&error), "Could not look for lost claims");
        }
    }

    /// Waits until there is room for one more job, or the worker drains.
    pub async fn wait_for_room(&self) {
        tokio::select! {
            () = self.room.any_free() => {}
            () = self.env.draining.cancelled() => {}
        }
    }

    /// Waits for a moment while most slots are taken, or an owner has its share. An idle worker claims at once.
    async fn gather(&self) {
        tokio::select! {
            biased;
            () = self.room.half_free() => {}
            () = self.env.draining.cancelled() => {}
            () = sleep(GATHER) => {}
        }
    }

    /// Claims and spawns until nothing is due or there is no room. Until `lost_claims_until`, a claim whose
    /// response was lost may still commit.
    async fn claim_all(&self, lost_claims_until: &mut Option<Instant>) {
        if !self.env.identity.belongs() {
            return;
        }
        if let Some(until) = *lost_claims_until {
            match self.give_back_lost_claims(Duration::ZERO).await {
                Ok(()) if until <= Instant::now() => *lost_claims_until = None,
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(queue = %self.queue, error = chain(&error), "Could not look for lost claims");
                    *lost_claims_until = Some(self.commit_deadline());
                    return;
                }
            }
        }
        loop {
            self.gather().await;
            let slots = self.room.slots();
            if self.env.draining.is_cancelled() || !self.env.identity.belongs() || slots.free() == 0 {
                return;
            }
            let asked_at = Instant::now();
            // A later response would only list leases that have expired.
            let claimed = match within(self.env.config.engine.lease, self.claim(&slots)).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::warn!(queue = %self.queue, error = chain(&error), "Could not claim jobs");
                    *lost_claims_until = Some(self.commit_deadline());
                    return;
                }
            };
            for job in claimed.jobs {
                self.spawn(job, asked_at);
            }
            for error in &claimed.unreadable {
                tracing::error!(queue = %self.queue, error = chain(error), "Claimed a job that this version cannot read; giving it back");
            }
            // The readable ones are in `active` by now.
            if !claimed.unreadable.is_empty()
                && let Err(error) = self.give_back_lost_claims(UNREADABLE_DELAY).await
            {
                tracing::warn!(queue = %self.queue, error = chain(&error), "Could not give back unreadable jobs");
                *lost_claims_until = Some(self.commit_deadline());
                return;
            }
            if !claimed.more {
                return;
            }
        }
    }

    /// When a request that was given up just now can no longer commit, even if the database stood still.
    fn commit_deadline(&self) -> Instant {
        Instant::now() + self.env.config.engine.lease
    }

    /// Gives back the jobs of lost claims. Must not run while a claim of this queue is under way.
    async fn give_back_lost_claims(&self, delay: Duration) -> Result<(), DbError> {
        let give = async {
            let mut conn = self.env.db.conn().await?;
            lease::give_back_lost_claims(&mut conn, self.queue, &self.env.worker, &self.active.claims(), delay).await
        };
        for job in within(self.env.config.engine.lease, give).await? {
            tracing::warn!(job.id = %job, queue = %self.queue, "Gave back a job: the response to its claim was lost or could not be read");
            if delay.is_zero() {
                self.env.doorbell.ring(self.queue, job);
            }
        }
        Ok(())
    }

    async fn claim(&self, slots: &FairSlots) -> Result<lease::Claimed, DbError> {
        let mut conn = self.env.db.conn().await?;
        // Checked on the connection that claims: its address may lead to another database by now.
        if !self.env.identity.is_of(&mut conn).await? {
            return Ok(lease::Claimed::default());
        }
        let claimed =
            lease::claim(&mut conn, self.queue, &self.env.worker, self.env.config.engine.lease, slots).await?;
        for job in &claimed.jobs {
            // Compares two clocks, which is good enough for a histogram. Nothing is decided by it.
            let waited = (chrono::Utc::now() - job.run_at).to_std().unwrap_or_default();
            metrics::histogram!(JOB_WAIT_SECONDS, "kind" => job.kind.as_str()).record(waited);
        }
        Ok(claimed)
    }

    fn spawn(&self, job: Job, asked_at: Instant) {
        let lease = Lease { job: job.id, attempt: job.attempt, worker: self.env.worker.to_string() };
        // Registered here and not in the task: the heartbeat must know the job from its claim on.
        let (signals, guard) = self.active.enter(&lease, asked_at);
        let slot = self.room.enter(job.owner_id);
        let dispatcher = self.clone();
        self.tasks.spawn(async move {
            let env = dispatcher.env.clone();
            // A task of its own, so that a panic in a step fails one attempt and does not end the worker.
            let completions = dispatcher.completions.clone();
            let run = tokio::spawn(runner::run(env.clone(), job.clone(), lease.clone(), signals, completions));
            if let Err(panic) = run.await {
                runner::after_panic(&env, &job, &lease, &panic).await;
            }
            drop(guard);
            drop(slot);
            // There may be more: a full queue is not rung for each job, and a job that waited for this one on its
            // instance is due now.
            dispatcher.look();
        });
    }
}
