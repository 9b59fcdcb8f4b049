//! Deletes what is older than it needs to be kept (`CLAWDEPLOY_JOBS_KEEP_DAYS` and its like).
//!
//! Every hour, and when an administrator runs the reconciler, one worker does a run. It works in small batches with a
//! pause after each, so that at most half of one connection is busy with it, and in a task of its own, so that claims
//! and the reaper never wait for it. Each table is independent of the others: an error is reported, and the next run
//! tries again. The result is stored as the sweep `retention`.

use std::{pin::Pin, time::Duration};

use clawdeploy_shared::{
    db::{
        Conn, Db, DbError,
        retention::{self, Batch, Cursor},
        session_lock::{Exclusive, SessionLock},
        sweep::{self, SweepName, SweepReport, SweepRun},
        warm_pool,
    },
    metrics::RETENTION_REMOVED,
    telemetry::chain,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{config::RetentionArgs, env::Env, reconcile::tell, rounds::Rounds};

mod audit;
mod export;
#[cfg(test)]
mod tests;

/// Delay between two checks whether a run is due.
const LOOK: Duration = Duration::from_secs(10);

/// Delay between two runs.
const PERIOD: Duration = Duration::from_hours(1);

/// How long one run goes on. The next one continues.
const LIMIT: Duration = Duration::from_mins(30);

/// Runs when it is due until the worker drains.
pub async fn run(env: Env) {
    let mut rounds = Rounds::new(LOOK, env.draining.clone(), env.identity.clone());
    while rounds.next().await {
        if let Err(error) = run_if_due(&env).await {
            tracing::warn!(error = chain(&error), "Could not delete what is older than it needs to be kept");
        }
    }
}

async fn run_if_due(env: &Env) -> Result<(), DbError> {
    if !is_due(&env.db).await? {
        return Ok(());
    }
    let Some(lock) = SessionLock::take(&env.db, Exclusive::Retention).await? else { return Ok(()) };
    // Another worker may have done it between the check and the lock.
    if !is_due(&env.db).await? {
        lock.end().await;
        return Ok(());
    }
    let pass = Pass::new(&env.db, &env.worker, &env.config.retention, env.draining.clone(), lock);
    let run = pass.run().await?;
    tell(&run);
    sweep::record(&mut *env.db.conn().await?, &env.worker, &run).await
}

async fn is_due(db: &Db) -> Result<bool, DbError> {
    sweep::is_due(&mut *db.conn().await?, &[SweepName::Retention], PERIOD).await
}

/// Why something could not be deleted.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error("a database query failed")]
    Db(#[from] DbError),
    #[error("the file {file} could not be written")]
    File {
        file: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the file {0} is there already and has other contents; move it away")]
    Exists(String),
}

/// One run.
struct Pass<'a> {
    db: &'a Db,
    worker: &'a str,
    settings: &'a RetentionArgs,
    draining: CancellationToken,
    lock: SessionLock,
    began: Instant,
    report: SweepReport,
    errors: Vec<String>,
}

impl<'a> Pass<'a> {
    fn new(
        db: &'a Db,
        worker: &'a str,
        settings: &'a RetentionArgs,
        draining: CancellationToken,
        lock: SessionLock,
    ) -> Self {
        let (report, errors) = (SweepReport::default(), Vec::new());
        Self { db, worker, settings, draining, lock, began: Instant::now(), report, errors }
    }

    async fn run(mut self) -> Result<SweepRun, DbError> {
        let ran_at = self.lock.clock().await?;
        let (days, log_days) = (self.settings.jobs_keep_days, self.settings.build_logs_keep_days);
        if log_days > 0 {
            let done = self.build_logs(log_days).await;
            self.note("logs of builds", log_days, done);
        }
        if days > 0 {
            // What jobs stay for goes first.
            let done = self.walk("images", |conn, after| Box::pin(retention::builds(conn, days, after))).await;
            self.note("builds", days, done);
            let done = self.walk("snapshots", |conn, after| Box::pin(retention::changes(conn, days, after))).await;
            self.note("changes", days, done);
            let done = self.walk("jobs", |conn, after| Box::pin(retention::jobs(conn, days, after))).await;
            self.note("jobs", days, done);
            let done = self.walk("api_tokens", |conn, after| Box::pin(retention::tokens(conn, days, after))).await;
            self.note("tokens", days, done);
        }
        if let Err(error) = self.warm_pool_days().await {
            self.failed("counts of the warm pool", &error.into());
        }
        audit::run(&mut self).await;
        self.lock.end().await;
        Ok(SweepRun {
            name: SweepName::Retention,
            ran_at,
            duration: self.began.elapsed(),
            report: self.report,
            error: (!self.errors.is_empty()).then(|| self.errors.join("; ")),
        })
    }

    /// Records what became of one kind of thing.
    fn note(&mut self, what: &str, days: i32, done: Result<i64, RetentionError>) {
        match done {
            Ok(0) => {}
            Ok(count) => {
                let message = format!("Deleted {count} {what} that ended more than {days} days ago.");
                self.report.repaired("old_deleted", what, message);
            }
            Err(error) => self.failed(what, &error),
        }
    }

    fn failed(&mut self, what: &str, error: &RetentionError) {
        self.errors.push(format!("{what}: {}", chain(error)));
    }

    /// Whether to stop here: the worker drains, or it has taken long enough. Fails if another worker may have the lock.
    async fn is_over(&mut self) -> Result<bool, DbError> {
        self.lock.clock().await?;
        Ok(self.draining.is_cancelled() || self.began.elapsed() > LIMIT)
    }

    /// Deletes batch after batch of a table and returns how many rows.
    async fn walk(
        &mut self,
        table: &'static str,
        batch: impl for<'c> Fn(&'c mut Conn, Cursor) -> Deleting<'c>,
    ) -> Result<i64, RetentionError> {
        let (mut after, mut removed) = (Cursor::default(), 0);
        loop {
            if self.is_over().await? {
                return Ok(removed);
            }
            let began = Instant::now();
            let done = batch(&mut *self.db.conn().await?, after).await?;
            removed += done.removed;
            self.report.checked += usize::try_from(done.seen).unwrap_or_default();
            metrics::counter!(RETENTION_REMOVED, "table" => table).increment(done.removed.unsigned_abs());
            match done.next {
                Some(next) => after = next,
                None => return Ok(removed),
            }
            sleep(began.elapsed()).await;
        }
    }

    async fn warm_pool_days(&self) -> Result<(), DbError> {
        warm_pool::forget_days(&mut *self.db.conn().await?).await
    }

    async fn build_logs(&mut self, days: i32) -> Result<i64, RetentionError> {
        let mut emptied = 0;
        while !self.is_over().await? {
            let count = retention::build_logs(&mut *self.db.conn().await?, days).await?;
            if count == 0 {
                break;
            }
            emptied += i64::try_from(count).unwrap_or_default();
        }
        Ok(emptied)
    }
}

/// The deletion of one batch.
type Deleting<'c> = Pin<Box<dyn Future<Output = Result<Batch, DbError>> + Send + 'c>>;
