//! `queue check`: measures whether and how fast the queue is served.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use clawdeploy_shared::{
    config::{DatabaseArgs, RedisArgs},
    db::{
        Db,
        job::{self, NewJob},
        queue_stats,
    },
    doorbell::Doorbell,
    ids::JobId,
    job::JobKind,
};
use serde_json::json;
use tokio::time::{Instant, interval, sleep};

use super::{connect, print_line};

/// How long to wait for all jobs after the last one was sent.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Measure the queue: send jobs that do nothing, and print how long they waited
    Check(CheckQueue),
}

#[derive(Debug, Args)]
pub struct CheckQueue {
    /// How many jobs to send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,

    /// Milliseconds between two jobs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    gap_ms: u64,

    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    redis: RedisArgs,
}

pub async fn run(command: QueueCommand) -> anyhow::Result<()> {
    match command {
        QueueCommand::Check(args) => check(args).await,
    }
}

async fn check(args: CheckQueue) -> anyhow::Result<()> {
    let db = connect(&args.database).await?;
    let doorbell = Doorbell::new(&args.redis)?;
    doorbell.ping().await.context("cannot reach Redis (CLAWDEPLOY_REDIS_URL)")?;
    let mut pace = interval(Duration::from_millis(args.gap_ms));
    let mut sent = Vec::new();
    for _ in 0..args.count {
        pace.tick().await;
        let job = NewJob::new(JobKind::Noop);
        job::insert(&mut *db.conn().await?, &job).await?;
        doorbell.ring(job.queue, job.id);
        sent.push(job.id);
    }
    let mut waits = served(&db, &sent).await?;
    waits.sort_by(f64::total_cmp);
    let percentile = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    print_line(
        &json!({
            "jobs": waits.len(),
            "p50Ms": percentile(50),
            "p95Ms": percentile(95),
            "p99Ms": percentile(99),
            "maxMs": percentile(100),
        })
        .to_string(),
    )
}

/// Waits until all jobs are done. Returns the time of each from acceptance to claim, in milliseconds.
async fn served(db: &Db, jobs: &[JobId]) -> anyhow::Result<Vec<f64>> {
    let began = Instant::now();
    loop {
        let waits = queue_stats::claim_waits(&mut *db.conn().await?, jobs).await?;
        if waits.len() == jobs.len() {
            return Ok(waits);
        }
        if began.elapsed() > PATIENCE {
            bail!(
                "only {} of {} jobs were claimed; check that a worker is alive and the queue is not paused",
                waits.len(),
                jobs.len()
            );
        }
        sleep(Duration::from_millis(100)).await;
    }
}
