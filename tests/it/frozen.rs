//! The gateway of an instance that falls asleep is frozen for a while, and then stopped.

use std::path::PathBuf;

use clawdeploy_tests::{Hold, TestEnv, WorkerOptions, docker};
use serde_json::Value;

use crate::support::{SOON, deleted, instance, job, running, starts, wait_job, wait_job_within, wait_status};

/// An installation in which gateways stay frozen for long, and a running instance. Its gateway can be asked to begin
/// something again, which comes before it is frozen.
async fn with_instance() -> (TestEnv, String) {
    let env = TestEnv::builder().set("CLAWDEPLOY_FROZEN_MINUTES", "600").build().await;
    let made = running(&env, "first").await;
    assert!(env.can_be_released(&made.instance));
    (env, made.instance)
}

fn config(env: &TestEnv, id: &str) -> PathBuf {
    env.data_dir.join(id).join("config")
}

async fn frozen(env: &TestEnv, id: &str) {
    let job = env.freeze(id, None).await.expect("an instance that runs");
    wait_job(env, &job, "succeeded").await;
}

/// State of the container, and whether the engine starts it again by itself.
async fn container(env: &TestEnv, id: &str) -> String {
    let container = instance(env, id).await["container_id"].as_str().unwrap().to_owned();
    docker::inspect(&container, "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}").await
}

async fn wait_container(env: &TestEnv, id: &str, state: &str) {
    let so = async || (container(env, id).await == state).then_some(());
    env.wait_for(&format!("the container to be {state}"), SOON, so).await;
}

/// Every sweep runs once.
async fn reconciled(env: &TestEnv) {
    let swept = env.admin().await.post_empty("/api/admin/reconcile").await.expect(200).json;
    for sweep in swept["items"].as_array().unwrap() {
        assert!(sweep["error"].is_null(), "{sweep}");
    }
}

/// Opens its address, which wakes it.
async fn woken(env: &TestEnv, id: &str) -> String {
    env.visit(id).await.expect(503);
    let job = env.wakes(id).await.pop().expect("a job that wakes it");
    wait_job(env, &job, "succeeded").await;
    job
}

#[tokio::test]
async fn it_wakes_without_a_boot() {
    let (env, id) = with_instance().await;
    frozen(&env, &id).await;
    assert_eq!(container(&env, &id).await, "paused no");
    let shown = env.user("ann").await.instance(&id).await;
    assert!(shown["status"] == "stopped" && shown["asleep"].is_object(), "{shown}");
    // Passes of the reconciler take it for what it is.
    reconciled(&env).await;
    let row = instance(&env, &id).await;
    assert_eq!((&row["status"], &row["error_code"]), (&"stopped".into(), &Value::Null));

    woken(&env, &id).await;
    assert_eq!(container(&env, &id).await, "running unless-stopped");
    assert_eq!((&instance(&env, &id).await["status"], starts(&env, &id)), (&"running".into(), 1));
    // And once more.
    frozen(&env, &id).await;
    woken(&env, &id).await;
    assert_eq!(starts(&env, &id), 1);
    deleted(&env, &id).await;
    env.finish().await;
}

#[tokio::test]
async fn after_a_while_it_is_stopped_and_sleeps_on() {
    let (env, id) = with_instance().await;
    frozen(&env, &id).await;
    env.execute("UPDATE idle_checks SET frozen_since = now() - interval '601 minutes'").await;
    wait_container(&env, &id, "exited no").await;
    wait_status(&env, &id, "stopped", SOON).await;
    assert!(env.user("ann").await.instance(&id).await["asleep"].is_object(), "it sleeps on");
    woken(&env, &id).await;
    assert_eq!((container(&env, &id).await, starts(&env, &id)), ("running unless-stopped".into(), 2));
    env.finish().await;
}

#[tokio::test]
async fn one_that_is_to_stay_stopped_is_stopped() {
    let (env, id) = with_instance().await;
    frozen(&env, &id).await;
    let ann = env.user("ann").await;
    ann.post_empty(&format!("/api/instances/{id}/stop")).await;
    wait_container(&env, &id, "exited no").await;
    wait_status(&env, &id, "stopped", SOON).await;
    assert!(ann.instance(&id).await["asleep"].is_null());
    let started = ann.act(&id, "start").await;
    wait_job(&env, &started.job, "succeeded").await;
    assert_eq!((container(&env, &id).await, starts(&env, &id)), ("running unless-stopped".into(), 2));
    env.finish().await;
}

#[tokio::test]
async fn it_can_be_deleted() {
    let (env, id) = with_instance().await;
    frozen(&env, &id).await;
    deleted(&env, &id).await;
    env.finish().await;
}

/// It would begin nothing new.
#[tokio::test]
async fn a_gateway_that_cannot_be_released_boots() {
    let (env, id) = with_instance().await;
    frozen(&env, &id).await;
    std::fs::remove_file(config(&env, &id).join("socket-paired")).unwrap();
    woken(&env, &id).await;
    assert_eq!((container(&env, &id).await, starts(&env, &id)), ("running unless-stopped".into(), 2));
    env.finish().await;
}

/// A wake that fails before it thaws the gateway leaves no frozen one, and its reason stays.
#[tokio::test]
async fn a_wake_that_fails_leaves_nothing_frozen() {
    let (env, id) = with_instance().await;
    frozen(&env, &id).await;
    tokio::fs::write(config(&env, &id).join("openclaw.json"), "{ not JSON5").await.unwrap();
    env.visit(&id).await.expect(503);
    let wakes = env.wakes(&id).await.pop().unwrap();
    wait_job(&env, &wakes, "failed").await;
    wait_container(&env, &id, "exited no").await;
    let row = instance(&env, &id).await;
    assert_eq!((&row["status"], &row["error_code"]), (&"error".into(), &"config_unreadable".into()), "{row}");
    env.finish().await;
}

/// The owner of an instance that sleeps cannot end that by cancelling what stops its frozen gateway.
#[tokio::test]
async fn cancelling_its_stop_does_not_end_its_sleep() {
    let hold = Hold::default();
    let env = TestEnv::builder().workers(0).build().await;
    let held =
        WorkerOptions::failpoints(&hold.at("stop.stop_container.before")).set("CLAWDEPLOY_FROZEN_MINUTES", "600");
    env.add_worker(&held).await;
    let id = running(&env, "first").await.instance;
    assert!(env.can_be_released(&id));
    hold.release();
    frozen(&env, &id).await;
    hold.again();
    env.execute("UPDATE idle_checks SET frozen_since = now() - interval '601 minutes'").await;
    hold.reached(&env).await;
    let stops = env.row("SELECT id FROM jobs WHERE payload ? 'wasFrozen'").await["id"].as_str().unwrap().to_owned();
    env.user("ann").await.post_empty(&format!("/api/jobs/{stops}/cancel")).await;
    hold.release();
    // It may have been too late for the cancel.
    let ended = async || (!job(&env, &stops).await["finished_at"].is_null()).then_some(());
    env.wait_for("the end of the job", SOON, ended).await;
    assert!(env.user("ann").await.instance(&id).await["asleep"].is_object(), "it sleeps on");
    woken(&env, &id).await;
    env.finish().await;
}

/// What ended while it was frozen, as by a reboot of the host, is started when it wakes.
#[tokio::test]
async fn a_gateway_that_ends_while_it_is_frozen_sleeps_on() {
    let (env, id) = with_instance().await;
    frozen(&env, &id).await;
    let name = instance(&env, &id).await["container_id"].as_str().unwrap().to_owned();
    docker::docker(&["kill", &name]).await;
    wait_container(&env, &id, "exited no").await;
    reconciled(&env).await;
    let row = instance(&env, &id).await;
    assert_eq!((&row["status"], &row["error_code"]), (&"stopped".into(), &Value::Null));
    woken(&env, &id).await;
    assert_eq!((container(&env, &id).await, starts(&env, &id)), ("running unless-stopped".into(), 2));
    env.finish().await;
}

/// A cancel that comes when the gateway is frozen thaws it.
#[tokio::test]
async fn a_late_cancel_thaws_it() {
    let hold = Hold::default();
    let env = TestEnv::builder().workers(0).build().await;
    let held = WorkerOptions::failpoints(&hold.at("stop.stop_container.after")).set("CLAWDEPLOY_FROZEN_MINUTES", "600");
    env.add_worker(&held).await;
    let made = running(&env, "first").await;
    let id = made.instance;
    assert!(env.can_be_released(&id));
    let sleeps = env.freeze(&id, None).await.unwrap();
    hold.reached(&env).await;
    assert_eq!(container(&env, &id).await, "paused no");
    env.user("ann").await.post_empty(&format!("/api/jobs/{sleeps}/cancel")).await;
    hold.release();
    wait_job_within(&env, &sleeps, "cancelled", SOON).await;
    wait_status(&env, &id, "running", SOON).await;
    assert_eq!((container(&env, &id).await, starts(&env, &id)), ("running unless-stopped".into(), 1));
    assert_eq!(job(&env, &sleeps).await["error_code"], Value::Null);
    env.finish().await;
}
