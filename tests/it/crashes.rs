//! Workers die at the kill points: another worker completes the job, and nothing is done twice.

mod asleep;
mod warm;

use std::{os::unix::process::ExitStatusExt as _, sync::Arc, time::Duration};

use clawdeploy_tests::{
    Client, FakeMode, TestEnv, WorkerOptions,
    client::Accepted,
    process::{Process, Signal},
};
use serde_json::{Value, json};

use crate::support::{instance, job, starts, story, wait_job, wait_job_within, wait_step};

/// Kill points that are tested at once, each with its own instance and worker.
const BATCH: usize = 5;

/// Time for lease, reaper and the job itself on a busy machine.
const RECOVERED: Duration = Duration::from_secs(20);

const FROM_IMAGE_TO_READY: [&str; 8] = [
    "find_image",
    "reserve_port",
    "create_directories",
    "write_config",
    "create_network",
    "create_container",
    "start_container",
    "wait_until_ready",
];

/// All kill points of a job with these steps.
fn points(steps: &[&str]) -> Vec<String> {
    let of_step = |step: &&str| ["before", "between", "after"].map(|place| format!("{step}.{place}"));
    steps.iter().flat_map(of_step).chain(["end.before".to_owned(), "end.after".to_owned()]).collect()
}

/// Some kill points: one batch.
fn some(points: [&str; BATCH]) -> Vec<String> {
    points.map(str::to_owned).into()
}

/// A worker that takes one job and dies at a kill point. It does not reap the jobs of the other workers: three crashes
/// would make a job fail.
fn doomed(env: &TestEnv, point: &str) -> Arc<Process> {
    let options = WorkerOptions::failpoints(&format!("{point}=return"))
        .set("CLAWDEPLOY_LIFECYCLE_CONCURRENCY", "1")
        .set("CLAWDEPLOY_SWEEP_SECONDS", "60");
    env.start_worker(&options)
}

/// Waits until the workers have died at their kill points.
async fn died(workers: &[Arc<Process>]) {
    for worker in workers {
        let status = worker.ended_within(Duration::from_secs(30)).await;
        assert_eq!(
            status.signal(),
            Some(Signal::ABORT.as_raw()),
            "{} ended otherwise\n{}",
            worker.name,
            worker.tail(20)
        );
    }
}

async fn healthy(env: &TestEnv) -> Arc<Process> {
    env.add_worker(&WorkerOptions::default()).await
}

async fn environment(image: FakeMode) -> TestEnv {
    TestEnv::builder()
        .workers(0)
        .image(image)
        .lease(4.0)
        .set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "100")
        .set("CLAWDEPLOY_FROZEN_MINUTES", "600")
        .build()
        .await
}

fn jobs(asked: &[Accepted]) -> Vec<String> {
    asked.iter().map(|accepted| accepted.job.clone()).collect()
}

/// Jobs were queued; at each of `points` a worker dies under one of them. Then a healthy worker must complete all jobs.
async fn crash_and_recover(env: &TestEnv, points: &[String], kind: &str, jobs: &[String]) -> Arc<Process> {
    let workers: Vec<_> = points.iter().map(|point| doomed(env, &format!("{kind}.{point}"))).collect();
    died(&workers).await;
    let worker = healthy(env).await;
    let mut crashes = 0;
    for id in jobs {
        let job = wait_job_within(env, id, "succeeded", RECOVERED).await;
        crashes += job["crashes"].as_u64().unwrap();
        assert_eq!(job["failures"], 0, "{points:?}: a crash is not a failure: {job}");
    }
    // There may be more crashes: on a busy machine, the lease of a live worker may expire, which must do no harm
    // either.
    let over_before = points.iter().filter(|point| *point == "end.after").count();
    assert!(crashes >= (points.len() - over_before) as u64, "{points:?}: only {crashes} crashes");
    worker
}

async fn create(client: &Client, env: &TestEnv, count: usize) -> Vec<Accepted> {
    let known = env.rows("SELECT id FROM jobs").await.len();
    let mut made = Vec::new();
    for n in 0..count {
        made.push(client.create(&format!("number {}", known + n)).await);
    }
    made
}

async fn all(env: &TestEnv, instances: &[String], verb: &str) -> Vec<Accepted> {
    let ann = env.user("ann").await;
    let mut asked = Vec::new();
    for id in instances {
        asked.push(match verb {
            "delete" => ann.remove(id).await,
            verb => ann.act(id, verb).await,
        });
    }
    asked
}

async fn finish_all(env: &TestEnv, asked: &[Accepted]) {
    for accepted in asked {
        wait_job(env, &accepted.job, "succeeded").await;
    }
}

/// Checks the instance: one container in the right state, started as often as expected.
async fn assert_whole(env: &TestEnv, id: &str, status: &str, started: usize) {
    assert_whole_with(env, id, status, if status == "running" { "running" } else { "exited" }, started).await;
}

/// The same, with this state of its container.
async fn assert_whole_with(env: &TestEnv, id: &str, status: &str, state: &str, started: usize) {
    let row = instance(env, id).await;
    assert_eq!((&row["status"], &row["error_code"]), (&json!(status), &Value::Null), "{row}");
    let world = env.world().await;
    let containers = world.containers_of(id);
    assert_eq!(containers.iter().map(|c| c.state.as_str()).collect::<Vec<_>>(), [state], "{id}");
    assert_eq!(row["container_id"], containers[0].id);
    assert_eq!(starts(env, id), started, "starts of {id}");
}

async fn provision_at(points: Vec<String>) {
    let env = environment(FakeMode::Ok).await;
    let ann = env.user("ann").await;
    for points in points.chunks(BATCH) {
        let asked = create(&ann, &env, points.len()).await;
        let worker = crash_and_recover(&env, points, "provision", &jobs(&asked)).await;
        for accepted in &asked {
            assert_whole(&env, &accepted.instance, "running", 1).await;
        }
        worker.terminate().await;
    }
    env.finish().await;
}

#[tokio::test]
async fn provision_at_some_points() {
    let points = [
        "write_config.between",
        "create_network.between",
        "create_container.between",
        "start_container.between",
        "end.after",
    ];
    provision_at(some(points)).await;
}

#[tokio::test]
#[ignore = "takes a minute; scripts/test --faults runs it"]
async fn provision_at_every_point() {
    provision_at(points(&FROM_IMAGE_TO_READY)).await;
}

/// Start, stop or restart of the same instances, in batches.
async fn power_at(kind: &str, points: Vec<String>) {
    let env = environment(FakeMode::Ok).await;
    let ann = env.user("ann").await;
    let mut worker = healthy(&env).await;
    let made = create(&ann, &env, BATCH).await;
    finish_all(&env, &made).await;
    let instances: Vec<String> = made.into_iter().map(|accepted| accepted.instance).collect();
    let before = if kind == "start" { "stop" } else { "start" };
    let ends_as = if kind == "stop" { "stopped" } else { "running" };
    if kind == "start" {
        finish_all(&env, &all(&env, &instances, "stop").await).await;
    }
    for points in points.chunks(BATCH) {
        let instances = &instances[..points.len()];
        let started: Vec<_> = instances.iter().map(|id| starts(&env, id)).collect();
        worker.terminate().await;
        let asked = all(&env, instances, kind).await;
        worker = crash_and_recover(&env, points, kind, &jobs(&asked)).await;
        for (id, started) in instances.iter().zip(started) {
            assert_whole(&env, id, ends_as, if kind == "stop" { started } else { started + 1 }).await;
        }
        if kind != "restart" {
            finish_all(&env, &all(&env, instances, before).await).await;
        }
    }
    env.finish().await;
}

#[tokio::test]
async fn start_at_some_points() {
    let points = [
        "reserve_port.after",
        "create_container.between",
        "start_container.between",
        "wait_until_ready.between",
        "end.before",
    ];
    power_at("start", some(points)).await;
}

#[tokio::test]
#[ignore = "takes a minute; scripts/test --faults runs it"]
async fn start_at_every_point() {
    power_at("start", points(&FROM_IMAGE_TO_READY)).await;
}

#[tokio::test]
async fn stop_at_every_point() {
    power_at("stop", points(&["stop_container"])).await;
}

#[tokio::test]
#[ignore = "takes a minute; scripts/test --faults runs it"]
async fn restart_at_every_point() {
    let steps: Vec<_> = ["stop_container"].into_iter().chain(FROM_IMAGE_TO_READY).collect();
    power_at("restart", points(&steps)).await;
}

async fn delete_at(points: Vec<String>) {
    let env = environment(FakeMode::Ok).await;
    let ann = env.user("ann").await;
    let mut worker = healthy(&env).await;
    let made = create(&ann, &env, points.len() + 1).await;
    finish_all(&env, &made).await;
    let (neighbour, doomed) = made.split_last().unwrap();
    for (points, made) in points.chunks(BATCH).zip(doomed.chunks(BATCH)) {
        worker.terminate().await;
        let instances: Vec<_> = made.iter().map(|accepted| accepted.instance.clone()).collect();
        let asked = all(&env, &instances, "delete").await;
        worker = crash_and_recover(&env, points, "delete", &jobs(&asked)).await;
        for id in &instances {
            env.assert_nothing_left_of(id).await;
            assert_eq!(env.rows(&format!("SELECT id FROM instances WHERE id = '{id}'")).await, Vec::<Value>::new());
        }
    }
    assert_whole(&env, &neighbour.instance, "running", 1).await;
    env.finish().await;
}

#[tokio::test]
async fn delete_at_some_points() {
    let points = [
        "remove_container.between",
        "remove_network.between",
        "remove_directories.between",
        "remove_directories.after",
        "end.after",
    ];
    delete_at(some(points)).await;
}

#[tokio::test]
#[ignore = "takes a minute; scripts/test --faults runs it"]
async fn delete_at_every_point() {
    delete_at(points(&["stop_container", "remove_container", "remove_network", "remove_directories"])).await;
}

/// A restore is complete and happens once, wherever a worker dies.
#[tokio::test]
async fn restore_at_every_point() {
    let env = environment(FakeMode::Ok).await;
    let ann = env.user("ann").await;
    let points = points(&["take_files_back"]);
    let worker = healthy(&env).await;
    let made = create(&ann, &env, points.len()).await;
    finish_all(&env, &made).await;
    let instances: Vec<_> = made.into_iter().map(|accepted| accepted.instance).collect();
    finish_all(&env, &all(&env, &instances, "delete").await).await;
    worker.terminate().await;
    let asked = all(&env, &instances, "undelete").await;
    crash_and_recover(&env, &points, "restore", &jobs(&asked)).await;
    for id in &instances {
        assert_whole(&env, id, "running", 2).await;
        assert!(!env.data_dir.join(".quarantine").join(id).exists(), "{id}");
    }
    assert_eq!(env.rows("SELECT id FROM recoverable_instances").await, Vec::<Value>::new());
    env.finish().await;
}

/// If a worker dies during the undo, the next one continues it, and the first error stays.
#[tokio::test]
async fn undo_at_every_point() {
    let env = environment(FakeMode::Exit78).await;
    let ann = env.user("ann").await;
    let undos = ["remove_container", "remove_network", "remove_directories", "release_port"];
    // Before the undo, and after it but before its event: then the next worker undoes the step a second time.
    let points: Vec<_> = ["undo", "undone"]
        .iter()
        .flat_map(|place| undos.iter().map(move |undo| format!("provision.{undo}.{place}")))
        .collect();
    let mut asked = Vec::new();
    for points in points.chunks(BATCH) {
        asked.extend(create(&ann, &env, points.len()).await);
        let workers: Vec<_> = points.iter().map(|point| doomed(&env, point)).collect();
        died(&workers).await;
        healthy(&env).await.terminate().await;
    }
    healthy(&env).await;
    for accepted in &asked {
        let job = wait_job_within(&env, &accepted.job, "failed", RECOVERED).await;
        assert_eq!((&job["error_code"], &job["unwinding_to"]), (&json!("gateway_exited"), &json!("failed")));
        env.assert_nothing_left_of(&accepted.instance).await;
    }
    env.finish().await;
}

#[tokio::test]
async fn kill_9_of_the_only_worker() {
    let env = TestEnv::builder().image(FakeMode::Slow).lease(4.0).build().await;
    let made = env.user("ann").await.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    env.worker(0).kill().await;
    assert_eq!(job(&env, &made.job).await["status"], "running", "its crash has not been noticed yet");
    healthy(&env).await;
    let job = wait_job_within(&env, &made.job, "succeeded", RECOVERED).await;
    assert_eq!((&job["crashes"], &job["attempt"]), (&json!(1), &json!(2)));
    assert_whole(&env, &made.instance, "running", 1).await;
    env.finish().await;
}

/// A worker that was suspended for longer than its lease finds its job taken and changes nothing more.
#[tokio::test]
async fn a_worker_wakes_up_too_late() {
    let env = TestEnv::builder().image(FakeMode::Slow).lease(4.0).build().await;
    let made = env.user("ann").await.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    let sleeper = env.worker(0);
    sleeper.signal(Signal::STOP);
    healthy(&env).await;
    wait_job_within(&env, &made.job, "succeeded", RECOVERED).await;
    let before = env.fingerprint().await;
    sleeper.signal(Signal::CONT);
    let given_up = async || sleeper.gave_up_job().then_some(());
    env.wait_for("the sleeper to notice", Duration::from_secs(10), given_up).await;
    assert_eq!(env.fingerprint().await, before, "it wrote something");
    assert_whole(&env, &made.instance, "running", 1).await;
    // Then it works normally again.
    env.worker(1).terminate().await;
    crate::support::done(&env, &made.instance, "stop").await;
    env.finish().await;
}

/// A job that kills three workers fails, and its steps are undone.
#[tokio::test]
async fn a_job_that_kills_every_worker() {
    let env = environment(FakeMode::Ok).await;
    let ann = env.user("ann").await;
    let made = ann.create("poison").await;
    let deadly = WorkerOptions::failpoints("provision.start_container.between=return");
    for _ in 0..3 {
        died(&[env.start_worker(&deadly)]).await;
    }
    // The fourth worker only undoes, so it does not reach the kill point.
    let fourth = env.start_worker(&deadly);
    let job = wait_job_within(&env, &made.job, "failed", RECOVERED).await;
    assert_eq!((&job["error_code"], &job["crashes"]), (&json!("worker_crashed"), &json!(3)));
    assert_eq!(instance(&env, &made.instance).await["error_code"], "worker_crashed");
    env.assert_nothing_left_of(&made.instance).await;
    assert_eq!(fourth.try_ended().await, None);
    fourth.terminate().await;
    healthy(&env).await;
    // Other jobs and later jobs of the instance are not affected.
    crate::support::done(&env, &made.instance, "start").await;
    env.finish().await;
}

/// If the undo kills workers too, the job is given up after six crashes.
#[tokio::test]
async fn a_job_whose_undo_kills_every_worker() {
    let env = environment(FakeMode::Ok).await;
    let made = env.user("ann").await.create("poison").await;
    let options = WorkerOptions::failpoints("provision.reserve_port.between=return;provision.release_port.undo=return");
    for _ in 0..6 {
        died(&[env.start_worker(&options)]).await;
    }
    env.start_worker(&options);
    let job = wait_job_within(&env, &made.job, "failed", RECOVERED).await;
    assert_eq!((&job["error_code"], &job["crashes"]), (&json!("worker_crashed"), &json!(6)));
    assert_eq!(instance(&env, &made.instance).await["status"], "error");
    // The leftovers are removed with the instance.
    crate::support::deleted(&env, &made.instance).await;
    assert!(story(&env, &made.job).await.contains(&"lease_lost".to_owned()));
    env.finish().await;
}
