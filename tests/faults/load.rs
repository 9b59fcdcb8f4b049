//! Many jobs without work, on a few workers that die often: no job is lost or done twice, and no owner waits for
//! another one's jobs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clawdeploy_shared::{config::RedisArgs, doorbell::Doorbell, ids::JobId, job::Queue};
use clawdeploy_tests::{Builder, TestEnv, WorkerOptions, cleanup, process::Process, settings};
use serde_json::Value;

use crate::support::say;

const WORKERS: usize = 4;

/// With leases so long that they do not expire on a busy machine.
async fn environment(workers: usize) -> TestEnv {
    watched(TestEnv::builder().workers(workers).lease(30.0)).await
}

async fn watched(builder: Builder) -> TestEnv {
    let env = builder.build().await;
    env.watch().await;
    env
}

/// Inserts jobs of one owner in one statement, with the rows that the API writes.
async fn insert(env: &TestEnv, owner: &str, count: usize) {
    let owner = env.user_id(owner, clawdeploy_shared::db::user::Role::User).await;
    let sql = format!(
        "WITH made AS (INSERT INTO jobs (id, kind, queue, owner_id) \
           SELECT gen_random_uuid(), 'noop', 'lifecycle', '{owner}' FROM generate_series(1, {count}) RETURNING id) \
         INSERT INTO job_events (job_id, attempt, kind, message) SELECT id, 0, 'accepted', 'Accepted' FROM made"
    );
    env.execute(&sql).await;
}

async fn count(env: &TestEnv, condition: &str) -> u64 {
    env.row(&format!("SELECT count(*) AS n FROM jobs WHERE {condition}")).await["n"].as_u64().unwrap()
}

async fn all_done(env: &TestEnv, within: Duration) -> Duration {
    let began = Instant::now();
    let none_open = async || (count(env, "status IN ('queued', 'running')").await == 0).then_some(());
    env.wait_for("every job to end", within, none_open).await;
    began.elapsed()
}

/// Checks that each job succeeded and ended once. Jobs of dead workers may have started again.
async fn assert_each_once(env: &TestEnv, jobs: u64) {
    assert_eq!(count(env, "status = 'succeeded' AND failures = 0").await, jobs);
    let ends = "SELECT job_id FROM job_events WHERE kind = 'finished' GROUP BY job_id HAVING count(*) <> 1";
    assert_eq!(env.rows(ends).await, Vec::<Value>::new(), "jobs that ended several times");
    let ends = env.row("SELECT count(*) AS n FROM test_turns WHERE becomes = 'succeeded'").await;
    assert_eq!(ends["n"].as_u64(), Some(jobs));
}

/// Jobs are added in small batches while workers die.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn workers_die_all_the_time() {
    // Short leases, so that other workers take over soon.
    let env = watched(TestEnv::builder().workers(WORKERS).lease(4.0)).await;
    let mut workers: Vec<Arc<Process>> = env.workers();
    for round in 0..10 {
        insert(&env, "ann", 400).await;
        // While the batch runs.
        let begun = async || (count(&env, "status = 'running'").await > 0).then_some(());
        env.wait_for("the first to be taken", Duration::from_secs(5), begun).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let nth = round % WORKERS;
        workers[nth].kill().await;
        workers[nth] = env.start_worker(&WorkerOptions::default());
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let took = all_done(&env, Duration::from_mins(1)).await;
    let crashes = env.row("SELECT sum(crashes) AS n FROM jobs").await;
    say(&format!("the rest took {took:?}; {} attempts ended with their worker", crashes["n"]));
    assert!(crashes["n"].as_u64() > Some(0), "no worker was killed while it had a job");
    assert_each_once(&env, 4000).await;
    env.assert_invariants().await;
    env.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn redis_forgets_all_the_time() {
    let env = environment(WORKERS).await;
    let args = RedisArgs { redis_url: settings::redis_url().into(), redis_prefix: env.name.clone() };
    let doorbell = Doorbell::new(&args).unwrap();
    for _ in 0..5 {
        insert(&env, "ann", 200).await;
        for _ in 0..20 {
            doorbell.try_ring(Queue::Lifecycle, JobId::generate()).await.unwrap();
        }
        cleanup::remove_keys(&env.name).await.unwrap();
        insert(&env, "ann", 200).await;
        let took = all_done(&env, Duration::from_secs(20)).await;
        say(&format!("200 jobs that nobody rings for any more: {took:?}"));
        tokio::time::sleep(Duration::from_secs(3).saturating_sub(took)).await;
    }
    let again = "SELECT job_id, attempt, kind, message, created_at FROM job_events \
                 WHERE job_id IN (SELECT id FROM jobs WHERE attempt <> 1) ORDER BY job_id, id";
    assert_eq!(env.rows(again).await, Vec::<Value>::new(), "jobs that were begun twice");
    assert_each_once(&env, 2000).await;
    env.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn ten_thousand_wait() {
    let env = environment(0).await;
    insert(&env, "ann", 10_000).await;
    for _ in 0..WORKERS {
        env.start_worker(&WorkerOptions::default());
    }
    let took = all_done(&env, Duration::from_mins(3)).await;
    say(&format!("10000 jobs on {WORKERS} workers: {took:?}"));
    assert_each_once(&env, 10_000).await;
    env.finish().await;
}

/// Fair queueing: five hundred jobs of one owner are first, and another owner's only job is still among the first to
/// run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_starved() {
    let env = environment(0).await;
    insert(&env, "ann", 500).await;
    insert(&env, "bob", 1).await;
    env.start_worker(&WorkerOptions::default().set("CLAWDEPLOY_LIFECYCLE_CONCURRENCY", "1"));
    all_done(&env, Duration::from_mins(1)).await;
    let bob = env.user_id("bob", clawdeploy_shared::db::user::Role::User).await;
    let place = format!(
        "SELECT place FROM (SELECT j.owner_id, row_number() OVER (ORDER BY e.id) AS place FROM job_events e \
         JOIN jobs j ON j.id = e.job_id WHERE e.kind = 'claimed') p WHERE owner_id = '{bob}'"
    );
    let place = env.row(&place).await["place"].as_u64().unwrap();
    assert!(place <= 5, "the only job of bob was number {place}");
    assert_each_once(&env, 501).await;
    env.finish().await;
}
