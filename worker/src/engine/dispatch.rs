//! Claims due jobs while there is room, and spawns each as a task of its own.
//!
//! A claim whose answer is lost has taken jobs all the same, in the name of a worker that knows nothing of them. To everybody
//! else that would look like a crash under those jobs. So after each claim that failed, what runs in this worker's name and was
//! never heard of is given back before anything else is claimed, for as long as the claim may still arrive at the database.
//! A job in an answer that this version cannot read is given back as well, and looked at again only after a while.

use std::{sync::Arc, time::Duration};

use clawdeploy_shared::{
    db::{
        DbError,
        job::Job,
        lease::{self, Lease},
    },
    job::Queue,
    metrics::JOB_WAIT_SECONDS,
    telemetry::chain,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use super::{active::Active, completion::CompletionBatch, runner};
use crate::env::Env;

/// Jobs claimed by one statement at most. Enough to make the statement's cost small beside the jobs', few enough to leave
/// work for others.
const CLAIM_BATCH: usize = 32;

/// When a job that could not be read may be claimed again: by then a newer worker may have taken it.
const UNREADABLE_DELAY: Duration = Duration::from_mins(1);

/// The part of the engine that serves one queue.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    pub queue: Queue,
    env: Env,
    room: Arc<Semaphore>,
    look: Arc<Notify>,
    active: Active,
    tasks: TaskTracker,
    completions: CompletionBatch,
}

impl Dispatcher {
    pub fn new(env: Env, queue: Queue, active: Active, tasks: TaskTracker, completions: CompletionBatch) -> Self {
        let room = Arc::new(Semaphore::new(env.config.engine.concurrency(queue)));
        Self { queue, env, room, look: Arc::new(Notify::new()), active, tasks, completions }
    }

    /// Says that there may be work. Said twice before it was looked, it is looked once.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Looks whenever told to, until the worker drains.
    pub async fn run(self) {
        // A draining worker waits for this as for a running job: what is claimed in that moment has to be handed back.
        let _underway = self.tasks.token();
        let mut unheard = None;
        loop {
            tokio::select! {
                biased;
                () = self.env.draining.cancelled() => break,
                () = self.look.notified() => self.take_all(&mut unheard).await,
            }
        }
        if unheard.is_some()
            && let Err(error) = self.give_back_unheard(Duration::ZERO).await
        {
            tracing::warn!(queue = %self.queue, error = chain(&error), "Could not look for lost claims");
        }
    }

    /// Waits until one more job could be taken, or the worker is draining.
    pub async fn wait_for_room(&self) {
        tokio::select! {
            _ = self.room.acquire() => {}
            () = self.env.draining.cancelled() => {}
        }
    }

    /// Claims and spawns until nothing is due or there is no more room. Until `unheard`, there may be claims that came to
    /// nobody's ears.
    async fn take_all(&self, unheard: &mut Option<Instant>) {
        if !self.env.identity.belongs() {
            return;
        }
        if let Some(until) = *unheard {
            match self.give_back_unheard(Duration::ZERO).await {
                Ok(()) if until <= Instant::now() => *unheard = None,
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(queue = %self.queue, error = chain(&error), "Could not look for lost claims");
                    *unheard = Some(self.may_arrive_until());
                    return;
                }
            }
        }
        while !self.env.draining.is_cancelled() && self.env.identity.belongs() {
            let wanted = self.room.available_permits().min(CLAIM_BATCH);
            if wanted == 0 {
                return;
            }
            let asked_at = Instant::now();
            // An answer that comes later than that tells of leases that have run out.
            let claimed = timeout(self.env.config.engine.lease, self.claim(wanted)).await;
            let claimed = match claimed.unwrap_or(Err(DbError::Timeout)) {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::warn!(queue = %self.queue, error = chain(&error), "Could not claim jobs");
                    *unheard = Some(self.may_arrive_until());
                    return;
                }
            };
            let taken = claimed.jobs.len();
            for job in claimed.jobs {
                self.spawn(job, asked_at);
            }
            for error in &claimed.unreadable {
                tracing::error!(queue = %self.queue, error = chain(error), "Claimed a job that this version cannot read; giving it back");
            }
            // What could be read is in `active` by now.
            if !claimed.unreadable.is_empty()
                && let Err(error) = self.give_back_unheard(UNREADABLE_DELAY).await
            {
                tracing::warn!(queue = %self.queue, error = chain(&error), "Could not give back unreadable jobs");
                *unheard = Some(self.may_arrive_until());
                return;
            }
            if taken < wanted {
                return;
            }
        }
    }

    /// How long what was sent just now, and given up, may lie on the way to a database that stood still.
    fn may_arrive_until(&self) -> Instant {
        Instant::now() + self.env.config.engine.lease
    }

    /// Gives back what claims have taken whose answers were lost. No claim of this queue is under way meanwhile.
    async fn give_back_unheard(&self, delay: Duration) -> Result<(), DbError> {
        let give = async {
            let mut conn = self.env.db.conn().await?;
            lease::give_back_unheard(&mut conn, self.queue, &self.env.worker, &self.active.claims(), delay).await
        };
        let given = timeout(self.env.config.engine.lease, give).await.unwrap_or(Err(DbError::Timeout))?;
        for job in given {
            tracing::warn!(job.id = %job, queue = %self.queue, "Gave back a job: the response to its claim was lost or could not be read");
            if delay.is_zero() {
                self.env.doorbell.ring(self.queue, job);
            }
        }
        Ok(())
    }

    async fn claim(&self, limit: usize) -> Result<lease::Claimed, DbError> {
        let mut conn = self.env.db.conn().await?;
        // Over the very connection that claims: behind its address there may be another database by now.
        if !self.env.identity.is_of(&mut conn).await? {
            return Ok(lease::Claimed::default());
        }
        let claimed =
            lease::claim(&mut conn, self.queue, &self.env.worker, self.env.config.engine.lease, limit).await?;
        for job in &claimed.jobs {
            // Two clocks at worst; close enough for a histogram, and nothing is decided by it.
            let waited = (chrono::Utc::now() - job.run_at).to_std().unwrap_or_default();
            metrics::histogram!(JOB_WAIT_SECONDS, "kind" => job.kind.as_str()).record(waited);
        }
        Ok(claimed)
    }

    fn spawn(&self, job: Job, asked_at: Instant) {
        let lease = Lease { job: job.id, attempt: job.attempt, worker: self.env.worker.to_string() };
        // At once, not in the task: from its claim on the heartbeat has to know the job.
        let (signals, guard) = self.active.enter(&lease, asked_at);
        let permit = Arc::clone(&self.room).try_acquire_owned();
        let dispatcher = self.clone();
        self.tasks.spawn(async move {
            // Only one who waits for room can have the permit in this moment, and gives it back at once.
            let permit = match permit {
                Ok(permit) => Ok(permit),
                Err(_) => Arc::clone(&dispatcher.room).acquire_owned().await,
            };
            let env = dispatcher.env.clone();
            // A task of its own, so that a panic in a step becomes a failed attempt and not the end of the worker.
            let completions = dispatcher.completions.clone();
            let run = tokio::spawn(runner::run(env.clone(), job.clone(), lease.clone(), signals, completions));
            if let Err(panic) = run.await {
                runner::after_panic(&env, &job, &lease, &panic).await;
            }
            drop(guard);
            drop(permit);
            // There may be more: a full queue drains without being rung for each job, and what waited behind this one on
            // its instance is due now.
            dispatcher.look();
        });
    }
}
