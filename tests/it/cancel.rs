//! Cancelled jobs: a queued one ends at once; a running one stops at its next safe point and undoes its steps.

use std::time::Duration;

use clawdeploy_tests::{
    Answer, FakeMode, Hold, TestEnv, WorkerOptions,
    client::Accepted,
    docker_proxy::{Action, DockerProxy},
};
use serde_json::{Value, json};

use crate::support::{done, http, instance, job, port, running, story, wait_job, wait_status, wait_step};

async fn cancel(env: &TestEnv, job: &str) -> Answer {
    env.user("ann").await.post_empty(&format!("/api/jobs/{job}/cancel")).await
}

#[tokio::test]
async fn a_waiting_provision() {
    let env = TestEnv::builder().workers(0).build().await;
    let made = env.user("ann").await.create("first").await;
    assert_eq!(cancel(&env, &made.job).await.expect(202).json["status"], "cancelled");
    let row = instance(&env, &made.instance).await;
    assert_eq!((&row["status"], &row["error_code"]), (&json!("error"), &json!("cancelled")));
    env.assert_nothing_left_of(&made.instance).await;
    assert_eq!(cancel(&env, &made.job).await.expect(409).code(), "job_finished");
    // A worker does not run the cancelled job, and the owner can start the instance.
    env.add_worker(&WorkerOptions::default()).await;
    done(&env, &made.instance, "start").await;
    assert_eq!(job(&env, &made.job).await["attempt"], 0);
    env.finish().await;
}

#[tokio::test]
async fn a_running_provision() {
    let env = TestEnv::builder().image(FakeMode::Never).ready(60.0).build().await;
    let made = env.user("ann").await.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    assert_eq!(cancel(&env, &made.job).await.expect(202).json["cancelRequested"], true);
    let row = wait_job(&env, &made.job, "cancelled").await;
    assert_eq!(row["unwinding_to"], "cancelled");
    env.assert_nothing_left_of(&made.instance).await;
    let row = instance(&env, &made.instance).await;
    assert_eq!(
        (&row["status"], &row["error_code"], &row["container_id"]),
        (&json!("error"), &json!("cancelled"), &Value::Null)
    );
    let undone: Vec<_> =
        story(&env, &made.job).await.into_iter().filter(|entry| entry.starts_with("step_undone")).collect();
    let steps = ["create_container", "create_network", "create_directories", "reserve_port"];
    assert_eq!(undone, steps.map(|step| format!("step_undone {step}")));
    env.finish().await;
}

#[tokio::test]
async fn a_provision_that_waits_for_a_retry() {
    let env = TestEnv::builder().workers(0).build().await;
    env.add_worker(&WorkerOptions::failpoints("provision.create_network.between=panic")).await;
    let made = env.user("ann").await.create("first").await;
    let waits = async || {
        let row = job(&env, &made.job).await;
        (row["status"] == "queued" && row["failures"].as_i64()? >= 2).then_some(())
    };
    env.wait_for("a pause between two attempts", Duration::from_secs(15), waits).await;
    cancel(&env, &made.job).await.expect(202);
    wait_job(&env, &made.job, "cancelled").await;
    env.assert_nothing_left_of(&made.instance).await;
    env.finish().await;
}

#[tokio::test]
async fn a_running_start() {
    let env = TestEnv::builder().image(FakeMode::Slow).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    wait_job(&env, &made.job, "succeeded").await;
    done(&env, &made.instance, "stop").await;
    let start = ann.act(&made.instance, "start").await;
    wait_step(&env, &start.job, "wait_until_ready").await;
    cancel(&env, &start.job).await.expect(202);
    wait_job(&env, &start.job, "cancelled").await;
    let row = instance(&env, &made.instance).await;
    assert_eq!((&row["status"], &row["error_code"]), (&json!("stopped"), &Value::Null));
    env.finish().await;
}

/// Holds a start before it looks at the container, of a gateway that will never be ready. Returns the job and the
/// container's name.
async fn held_start(env: &TestEnv, hold: &Hold) -> (Accepted, String) {
    env.add_worker(&WorkerOptions::failpoints(&hold.at("start.start_container.before"))).await;
    let made = running(env, "first").await;
    done(env, &made.instance, "stop").await;
    tokio::fs::write(env.data_dir.join(&made.instance).join("config/fate"), "never").await.unwrap();
    let start = env.user("ann").await.act(&made.instance, "start").await;
    hold.reached(env).await;
    (start, format!("claw-{}", made.instance))
}

/// A gateway that already booted without a job (as after a reboot of the host) is not stopped by the undo of a start.
#[tokio::test]
async fn a_start_of_what_boots_already_does_not_stop_it() {
    let env = TestEnv::builder().ready(3.0).workers(0).build().await;
    let hold = Hold::default();
    let (start, container) = held_start(&env, &hold).await;
    clawdeploy_tests::docker::docker(&["start", &container]).await;
    hold.release();
    wait_job(&env, &start.job, "failed").await;
    let state = clawdeploy_tests::docker::inspect(&container, "{{.State.Status}}").await;
    assert_eq!(state.trim(), "running");
    env.finish().await;
}

/// Even if the first attempt failed before it looked at the container.
#[tokio::test]
async fn a_start_that_has_seen_nothing_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = DockerProxy::new(dir.path());
    let env = TestEnv::builder().workers(0).set("CLAWDEPLOY_DOCKER_HOST", &engine.host()).build().await;
    let hold = Hold::default();
    let (start, container) = held_start(&env, &hold).await;
    clawdeploy_tests::docker::docker(&["start", &container]).await;
    engine.fault("GET", "/containers/json", Action::Err500, 0);
    hold.release();
    let failed = async || (job(&env, &start.job).await["failures"].as_i64()? >= 1).then_some(());
    env.wait_for("the first attempt to fail", Duration::from_secs(30), failed).await;
    engine.heal();
    cancel(&env, &start.job).await.expect(202);
    wait_job(&env, &start.job, "cancelled").await;
    let state = clawdeploy_tests::docker::inspect(&container, "{{.State.Status}}").await;
    assert_eq!(state.trim(), "running");
    env.finish().await;
}

#[tokio::test]
async fn a_running_restart() {
    let env = TestEnv::builder().image(FakeMode::Slow).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    wait_job(&env, &made.job, "succeeded").await;
    let restart = ann.act(&made.instance, "restart").await;
    wait_step(&env, &restart.job, "wait_until_ready").await;
    cancel(&env, &restart.job).await.expect(202);
    wait_job(&env, &restart.job, "cancelled").await;
    wait_status(&env, &made.instance, "running", Duration::from_secs(20)).await;
    env.finish().await;
}

/// After a cancelled stop, the gateway may not answer at the moment.
#[tokio::test]
async fn a_stop_of_a_gateway_that_does_not_answer() {
    // Only the end of the job may set the status, not the reconciler.
    let env = TestEnv::builder().workers(0).set("CLAWDEPLOY_RECONCILE_SECONDS", "600").build().await;
    env.add_worker(&WorkerOptions::failpoints("stop.stop_container.before=panic")).await;
    let made = running(&env, "first").await;
    tokio::fs::write(env.data_dir.join(&made.instance).join("config/fate"), "never").await.unwrap();
    http(port(&env, &made.instance).await, "/crash").await;
    wait_status(&env, &made.instance, "starting", Duration::from_secs(15)).await;
    let stop = env.user("ann").await.act(&made.instance, "stop").await;
    let waits = async || (job(&env, &stop.job).await["failures"].as_i64()? >= 2).then_some(());
    env.wait_for("a pause between two attempts", Duration::from_secs(15), waits).await;
    assert_eq!(instance(&env, &made.instance).await["status"], "stopping");
    cancel(&env, &stop.job).await.expect(202);
    wait_job(&env, &stop.job, "cancelled").await;
    assert_eq!(instance(&env, &made.instance).await["status"], "starting");
    env.finish().await;
}

/// A delete cannot be undone, so it continues.
#[tokio::test]
async fn a_running_delete_goes_on() {
    let env = TestEnv::builder().workers(0).build().await;
    let hold = Hold::default();
    env.add_worker(&WorkerOptions::failpoints(&hold.at("delete.stop_container.between"))).await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    wait_job(&env, &made.job, "succeeded").await;
    let delete = ann.remove(&made.instance).await;
    hold.reached(&env).await;
    assert_eq!(cancel(&env, &delete.job).await.expect(409).code(), "not_cancellable");
    hold.release();
    wait_job(&env, &delete.job, "succeeded").await;
    env.assert_nothing_left_of(&made.instance).await;
    env.finish().await;
}

/// A queued delete can be cancelled; the instance stays.
#[tokio::test]
async fn a_waiting_delete() {
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    wait_job(&env, &made.job, "succeeded").await;
    env.worker(0).terminate().await;
    let delete = ann.remove(&made.instance).await;
    cancel(&env, &delete.job).await.expect(202);
    let shown = ann.instance(&made.instance).await;
    assert_eq!((&shown["status"], &shown["desiredState"]), (&json!("running"), &json!("running")));
    env.add_worker(&WorkerOptions::default()).await;
    done(&env, &made.instance, "stop").await;
    env.finish().await;
}

#[tokio::test]
async fn delete_while_it_is_being_made() {
    let env = TestEnv::builder().image(FakeMode::Never).ready(60.0).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    let delete = ann.remove(&made.instance).await;
    wait_job(&env, &delete.job, "succeeded").await;
    assert_eq!(job(&env, &made.job).await["status"], "cancelled");
    env.assert_nothing_left_of(&made.instance).await;
    ann.get(&format!("/api/instances/{}", made.instance)).await.expect(404);
    env.finish().await;
}

#[tokio::test]
async fn delete_before_anything_was_done() {
    let env = TestEnv::builder().workers(0).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    let delete = ann.remove(&made.instance).await;
    assert_eq!(job(&env, &made.job).await["status"], "cancelled");
    env.add_worker(&WorkerOptions::default()).await;
    wait_job(&env, &delete.job, "succeeded").await;
    assert_eq!(env.rows("SELECT id FROM instances").await.len(), 0);
    env.finish().await;
}
