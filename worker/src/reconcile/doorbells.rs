//! Jobs whose ring was lost, and queues without workers.
//!
//! A job counts as missed if it has been claimable (it is due, its queue is not paused, and nothing it waits for is
//! open) for more than five seconds: its ring was lost, or every worker is busy. It is rung for again, at most two
//! hundred jobs per pass. Workers also poll each second, so this matters only where one does not.
//!
//! A queue is unserved if no worker that is alive and not draining serves it.

use std::{collections::HashMap, time::Duration};

use clawdeploy_shared::{
    db::{overdue, sweep::SweepReport, worker},
    job::Queue,
    telemetry::chain,
};

use super::SweepResult;
use crate::env::Env;

/// How long a job must have been due.
const MISSED_AFTER: Duration = Duration::from_secs(5);

/// Most rings in one pass.
const CAP: i64 = 200;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let mut conn = env.db.conn().await?;
    let overdue = overdue::list(&mut conn, MISSED_AFTER, CAP).await?;
    let waiting: HashMap<Queue, i64> =
        overdue::waiting(&mut conn).await?.into_iter().map(|waiting| (waiting.queue, waiting.jobs)).collect();
    let workers = worker::list(&mut conn).await?;
    drop(conn);
    let mut report = SweepReport::of(overdue.len());

    for queue in Queue::ALL {
        let serves = |worker: &worker::Worker| worker.queues.iter().any(|name| name == queue.as_str());
        if !workers.iter().any(|(worker, alive)| *alive && !worker.draining && serves(worker)) {
            let jobs = waiting.get(queue).copied().unwrap_or(0);
            report.reported(
                "queue_unserved",
                queue,
                format!("No worker serves the queue {queue}, where {jobs} jobs wait."),
            );
        }
    }

    let mut rung: HashMap<Queue, usize> = HashMap::new();
    for job in overdue {
        if let Err(error) = env.doorbell.try_ring(job.queue, job.id).await {
            // Further rings would fail as well, each after a delay.
            let message =
                format!("Redis does not take rings ({}). Workers still find due jobs by polling.", chain(&error));
            report.reported("doorbell_out_of_order", &job.queue, message);
            break;
        }
        *rung.entry(job.queue).or_default() += 1;
    }
    for (queue, jobs) in rung {
        let seconds = MISSED_AFTER.as_secs();
        let message = format!("Rang again for {jobs} jobs that had been due for more than {seconds} s.");
        report.repaired("rung_again", &queue, message);
    }
    Ok(report)
}
