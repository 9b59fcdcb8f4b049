//! The reconciler compares the rows with reality and repairs or reports each difference.
//!
//! A *sweep* looks for one kind of difference. Each has its own file, whose head defines exactly what counts. A *pass*
//! runs all sweeps one after the other, every ten seconds and at once when an administrator asks. One worker at a time
//! runs a pass. Should two ever do, nothing breaks, because every write is guarded.
//!
//! Rules for every sweep:
//! - It takes no input. Even after an event it observes for itself.
//! - It may be interrupted anywhere and run again: it is idempotent, and it does not retry, because the next pass is
//!   near.
//! - It observes first and reads the rows after, so that anything created in between already has its row.
//! - It leaves alone what has an open job or does not carry this deployment's label.
//! - It removes only what the database shows to be gone (`recoverable::shown_gone`). A missing row shows nothing: the
//!   database may have been restored from an older dump, or be another one. Such things are reported and stay.
//! - It takes a fixed number of statements and calls to the engine while nothing is wrong, however many instances there
//!   are.
//! - It does at most one small thing itself. Anything with steps becomes a job.
//! - It returns its findings, which are stored in the table `sweeps` and shown to administrators.
//!
//! A sweep that fails or takes too long does not block the others. None runs unless database, data directory and engine
//! belong together, which is checked before each.

use std::{collections::HashSet, time::Duration};

use clawdeploy_shared::{
    db::{
        DbError, job,
        session_lock::{Exclusive, SessionLock},
        sweep::{self, FindingAction, SweepName, SweepReport, SweepRun},
    },
    ids::InstanceId,
    metrics::RECONCILER_FINDINGS,
    telemetry::chain,
};
use tokio::{
    task::JoinError,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{env::Env, observe::ObserveError, runtime::RuntimeError, storage::StorageError};
use drift::Drift;
use late::LateRuns;
use listing::Listing;

mod crash_loop;
pub mod directories;
mod disk;
mod doorbells;
pub mod drift;
mod firewall;
mod images;
mod late;
mod listing;
mod manifests;
mod orphans;
mod ports;
mod routes;
mod snapshots;
mod stuck;
mod trash;

/// Delay between two checks whether a pass is due. Short, because an administrator waits for the result.
const LOOK: Duration = Duration::from_secs(1);

/// How long a pass waits for one sweep before it continues.
const SWEEP_LIMIT: Duration = Duration::from_secs(20);

/// How long a requested pass waits for one that another worker runs.
const LOCK_WAIT: Duration = Duration::from_mins(2);

/// How long something must have been an orphan before it is removed.
const ORPHAN_AGE: Duration = Duration::from_mins(1);

/// Why a sweep failed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("a database query failed")]
    Db(#[from] DbError),
    #[error("a call to Docker failed")]
    Runtime(#[from] RuntimeError),
    #[error("a file operation failed")]
    Storage(#[from] StorageError),
    #[error("it took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("an earlier run has been going for {} s", .0.as_secs())]
    StillRunning(Duration),
    #[error("it panicked")]
    Panicked(#[source] JoinError),
}

impl From<diesel::result::Error> for SweepError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<ObserveError> for SweepError {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::Db(error) => Self::Db(error),
            ObserveError::Runtime(error) => Self::Runtime(error),
        }
    }
}

impl SweepError {
    /// Whether the rest of the sweep is bound to fail as well.
    fn is_hopeless(&self) -> bool {
        match self {
            Self::Db(_) => true,
            Self::Runtime(error) => error.is_unreachable() || error.is_timeout(),
            _ => false,
        }
    }
}

type SweepResult = Result<SweepReport, SweepError>;

/// The reconciler of this worker. Clones share its memory.
#[derive(Debug, Clone)]
pub struct Reconciler {
    env: Env,
    drift: Drift,
    /// The containers, as listed in this pass.
    listing: Listing,
    late: LateRuns,
}

impl Reconciler {
    pub fn new(env: Env) -> Self {
        Self { drift: Drift::new(env.clone()), env, listing: Listing::default(), late: LateRuns::default() }
    }

    /// Follows Docker's events until the worker drains. Every worker does.
    pub async fn watch(self) {
        let identity = &self.env.identity;
        while !self.env.draining.is_cancelled() {
            tokio::select! {
                () = self.env.draining.cancelled() => return,
                () = identity.works() => {}
            }
            tokio::select! {
                () = self.drift.watch() => {}
                () = identity.stands_by() => {}
            }
        }
    }

    /// Runs due passes until the worker drains.
    pub async fn run(self) {
        let period = self.env.config.engine.reconcile;
        let mut tick = interval(period.clamp(Duration::from_millis(100), LOOK));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.env.draining.cancelled() => return,
            }
            if let Err(error) = self.pass_if_due(period).await {
                tracing::warn!(error = chain(&error), "The reconciler pass failed");
            }
        }
    }

    /// Runs one pass now, due or not, and returns the findings of its sweeps.
    pub async fn pass(&self) -> Result<Vec<SweepRun>, DbError> {
        let began = Instant::now();
        loop {
            if let Some(lock) = SessionLock::take(&self.env.db, Exclusive::Reconciler).await? {
                return self.sweep_all(lock).await;
            }
            if began.elapsed() > LOCK_WAIT {
                return Err(DbError::Timeout);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn pass_if_due(&self, period: Duration) -> Result<(), DbError> {
        if !self.is_due(period).await? || !self.env.identity.check(true).await? {
            return Ok(());
        }
        let Some(lock) = SessionLock::take(&self.env.db, Exclusive::Reconciler).await? else { return Ok(()) };
        // Another worker may have run one between the check and the lock.
        if self.is_due(period).await? {
            self.sweep_all(lock).await?;
        } else {
            lock.end().await;
        }
        Ok(())
    }

    async fn is_due(&self, period: Duration) -> Result<bool, DbError> {
        let names: Vec<SweepName> = SweepName::pass().collect();
        sweep::is_due(&mut *self.env.db.conn().await?, &names, period).await
    }

    async fn sweep_all(&self, mut lock: SessionLock) -> Result<Vec<SweepRun>, DbError> {
        let mut runs = Vec::new();
        for name in SweepName::pass() {
            if self.env.draining.is_cancelled() {
                break;
            }
            // Asked on the connection that holds the lock: fails if another worker may have it by now.
            let ran_at = lock.clock().await?;
            if !self.env.identity.check(false).await? {
                break;
            }
            let began = Instant::now();
            let (report, error) = match self.late.within(SWEEP_LIMIT, name, self.clone().sweep(name)).await {
                Ok(report) => (report, None),
                Err(error) => (SweepReport::default(), Some(chain(&error))),
            };
            let run = SweepRun { name, ran_at, duration: began.elapsed(), report, error };
            tell(&run);
            sweep::record(&mut *self.env.db.conn().await?, &self.env.worker, &run).await?;
            runs.push(run);
        }
        self.listing.forget();
        lock.end().await;
        Ok(runs)
    }

    async fn sweep(self, name: SweepName) -> SweepResult {
        let (env, listing) = (&self.env, &self.listing);
        match name {
            SweepName::Drift => self.drift.sweep(listing).await,
            SweepName::Stuck => stuck::sweep(env, listing).await,
            SweepName::Routes => routes::sweep(env).await,
            SweepName::Doorbells => doorbells::sweep(env).await,
            SweepName::Orphans => orphans::sweep(env, listing).await,
            SweepName::Directories => directories::sweep(env).await,
            SweepName::Trash => trash::sweep(env).await,
            SweepName::Ports => ports::sweep(env, listing).await,
            SweepName::Snapshots => snapshots::sweep(env).await,
            SweepName::Disk => disk::sweep(env).await,
            SweepName::Images => images::sweep(env).await,
            SweepName::Firewall => firewall::sweep(env).await,
            // A task of its own: `crate::retention`.
            SweepName::Retention => Ok(SweepReport::default()),
        }
    }
}

/// Logs and counts the findings of a run.
pub(crate) fn tell(run: &SweepRun) {
    let sweep = run.name.as_str();
    if let Some(error) = &run.error {
        tracing::warn!(sweep, error, "A sweep failed");
    }
    for finding in &run.report.findings {
        let (code, subject) = (finding.code.as_str(), finding.subject.as_str());
        metrics::counter!(
            RECONCILER_FINDINGS, "sweep" => sweep, "code" => finding.code.clone(), "action" => finding.action.as_str()
        )
        .increment(1);
        if finding.action == FindingAction::Repaired {
            tracing::info!(sweep, code, subject, message = finding.message, "Repaired");
        } else {
            // Logged at debug level, because it is found again in every pass.
            tracing::debug!(sweep, code, subject, action = %finding.action, "Found");
        }
    }
}

/// Those of these instances that have an open job.
async fn busy<'a>(env: &Env, ids: impl IntoIterator<Item = &'a InstanceId>) -> Result<HashSet<InstanceId>, DbError> {
    let ids: HashSet<&InstanceId> = ids.into_iter().collect();
    let ids: Vec<&InstanceId> = ids.into_iter().collect();
    let open = job::open_on_any(&mut *env.db.conn().await?, &ids).await?;
    Ok(open.into_iter().filter_map(|job| job.instance_id).collect())
}
