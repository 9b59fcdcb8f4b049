//! A worker whose core task fails ends with an error, and another worker takes its jobs.

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use clawdeploy_tests::{FakeMode, TestEnv, WorkerOptions, process::Process};
use serde_json::json;

use crate::support::{job, wait_job, wait_step};

const END: Duration = Duration::from_secs(40);

/// `CoreTask` in `worker/src/core_tasks.rs`.
const TASKS: [&str; 16] = [
    "dispatcher",
    "doorbell",
    "leases",
    "heartbeat",
    "reaper",
    "housekeeping",
    "completion",
    "reconciler",
    "retention",
    "sleep",
    "events",
    "identity",
    "terminals",
    "usage",
    "routes",
    "rpc",
];

/// The file whose existence makes the task panic, and the options of such a worker.
fn panics(env: &TestEnv, task: &str) -> (PathBuf, WorkerOptions) {
    let file = env.scratch().join(format!("{task}.panic"));
    let options = WorkerOptions::failpoints(&format!("core.{task}=return({})", file.display()))
        // The task that writes nginx's map runs only if nginx routes.
        .set("CLAWDEPLOY_ROUTING", "nginx")
        .set("CLAWDEPLOY_NGINX_MAP", &env.scratch().join(format!("{task}.map")).display().to_string());
    (file, options)
}

async fn assert_failed(worker: &Process, task: &str) {
    let status = worker.ended_within(END).await;
    assert_eq!(status.code(), Some(1), "{task}: {}", worker.tail(20));
    let log = worker.log();
    assert!(log.contains(&format!("the worker's task \"{task}\" ended unexpectedly")), "{task}: {}", worker.tail(20));
    assert!(log.contains(&format!("a test made the task {task} panic")), "{task}: {}", worker.tail(20));
}

#[tokio::test]
async fn a_worker_ends_with_each_of_its_core_tasks() {
    let env = TestEnv::builder().workers(0).build().await;
    for some in TASKS.chunks(4) {
        let mut workers: Vec<(&str, PathBuf, Arc<Process>)> = Vec::new();
        for task in some {
            let (file, options) = panics(&env, task);
            workers.push((task, file, env.add_worker(&options).await));
        }
        for (task, file, worker) in &workers {
            File::create(file).unwrap();
            assert_failed(worker, task).await;
        }
    }
    assert_eq!(env.rows("SELECT id FROM workers").await.len(), 0, "each has unregistered");
    env.finish().await;
}

#[tokio::test]
async fn its_jobs_go_to_another_worker() {
    for task in ["reconciler", "leases"] {
        let env = TestEnv::builder().workers(0).image(FakeMode::Slow).build().await;
        let (file, options) = panics(&env, task);
        let worker = env.add_worker(&options.set("CLAWDEPLOY_ROUTING", "direct")).await;
        let made = env.user("ann").await.create("first").await;
        wait_step(&env, &made.job, "wait_until_ready").await;
        File::create(file).unwrap();
        assert_failed(&worker, task).await;
        env.add_worker(&WorkerOptions::default()).await;
        wait_job(&env, &made.job, "succeeded").await;
        assert_eq!(job(&env, &made.job).await["crashes"], json!(0), "{task}: the job must be handed back");
        env.finish().await;
    }
}
