//! The Rust implementation of graphile-worker: `migrate` creates its tables, `work` runs jobs and prints on SIGTERM how
//! many it completed and when.

use std::{
    env,
    error::Error,
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use graphile_worker::{IntoTaskHandlerResult, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Noop {}

/// Number of jobs, and the times of the first and the last in milliseconds.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<(u64, u128, u128)>>);

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        if let Some(seen) = context.get_ext::<Seen>() {
            let (done, first, last) = &mut *seen.0.lock().unwrap();
            *done += 1;
            *last = now;
            if *first == 0 {
                *first = now;
            }
        }
        Ok::<(), String>(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let seen = Seen::default();
    let worker = WorkerOptions::default()
        .database_url(&env::var("BENCH_DATABASE_URL")?)
        .max_pg_conn(25)
        .concurrency(24)
        .local_queue(LocalQueueConfig::default().with_size(500))
        .complete_job_batch_delay(Duration::ZERO)
        .fail_job_batch_delay(Duration::ZERO)
        .add_extension(seen.clone())
        .define_job::<Noop>()
        .init()
        .await?;
    if env::args().nth(1).as_deref() == Some("migrate") {
        return Ok(());
    }
    worker.run().await?;
    let (done, first, last) = *seen.0.lock().unwrap();
    writeln!(std::io::stdout(), "{{\"done\":{done},\"first\":{first},\"last\":{last}}}")?;
    Ok(())
}
