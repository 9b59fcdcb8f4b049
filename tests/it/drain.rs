//! Draining a worker: the running step is finished and the job is handed back, without counting as a failure.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, Hold, TestEnv, WorkerOptions, process::Signal};
use serde_json::json;

use crate::support::{job, starts, story, wait_job, wait_step};

#[tokio::test]
async fn a_wait_is_broken_off() {
    let env = TestEnv::builder().image(FakeMode::Slow).build().await;
    let made = env.user("ann").await.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    let status = env.worker(0).terminate().await;
    assert!(status.success(), "{status}");
    assert_eq!(story(&env, &made.job).await.last().unwrap(), "handed_back", "the wait was not interrupted");
    let row = job(&env, &made.job).await;
    assert_eq!((&row["status"], &row["failures"], &row["crashes"]), (&json!("queued"), &json!(0), &json!(0)));
    assert_eq!(env.rows("SELECT id FROM workers").await.len(), 0, "its row is still there");

    env.add_worker(&WorkerOptions::default()).await;
    let row = wait_job(&env, &made.job, "succeeded").await;
    assert_eq!((&row["attempt"], &row["failures"], &row["crashes"]), (&json!(2), &json!(0), &json!(0)));
    assert_eq!(starts(&env, &made.instance), 1);
    env.finish().await;
}

#[tokio::test]
async fn a_step_is_finished_and_nothing_new_is_taken() {
    let env = TestEnv::builder().workers(0).build().await;
    let hold = Hold::default();
    let worker = env.add_worker(&WorkerOptions::failpoints(&hold.at("provision.create_network.between"))).await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    hold.reached(&env).await;
    worker.signal(Signal::TERM);
    let draining = async || worker.log().contains("Draining").then_some(());
    env.wait_for("the worker to drain", Duration::from_secs(5), draining).await;
    let later = ann.create("later").await;
    hold.release();
    let status = worker.terminate().await;
    assert!(status.success(), "{status}");

    let told = story(&env, &made.job).await;
    let done = told.iter().position(|entry| entry == "step_done create_network").expect("the step was finished");
    assert_eq!(told[done + 1..], ["handed_back"]);
    assert_eq!((&job(&env, &later.job).await["attempt"], told.len()), (&json!(0), done + 2));

    env.add_worker(&WorkerOptions::default()).await;
    wait_job(&env, &made.job, "succeeded").await;
    wait_job(&env, &later.job, "succeeded").await;
    env.finish().await;
}

/// Another worker claims a handed-back job at once, not when the lease expires.
#[tokio::test]
async fn another_worker_takes_over_at_once() {
    let env = TestEnv::builder().workers(2).image(FakeMode::Slow).lease(30.0).build().await;
    let made = env.user("ann").await.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    let holder = job(&env, &made.job).await["leased_by"].as_str().unwrap().to_owned();
    let holds = |pid: i32| holder.contains(&format!("-{pid}-"));
    let worker = env.workers().into_iter().find(|worker| holds(worker.pid())).expect("one of the workers has it");
    worker.terminate().await;
    let taken = async || (job(&env, &made.job).await["attempt"] == 2).then_some(());
    env.wait_for("the other worker to take the job", Duration::from_secs(20), taken).await;
    wait_job(&env, &made.job, "succeeded").await;
    env.finish().await;
}
