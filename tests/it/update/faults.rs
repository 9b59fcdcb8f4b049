//! Workers that die and users who cancel, at every step of an update.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, Hold, TestEnv, client::Accepted};
use serde_json::json;

use super::support::{Before, assert_as_before, failing_on, image_id, look, on, retire, tree, update, write_state};
use crate::support::{http, instance, running, wait_job, wait_job_within};

pub(super) const STEPS: [&str; 15] = [
    "prepare_change",
    "unroute",
    "stop_gateway",
    "take_snapshot",
    "remove_container",
    "apply_change",
    "reserve_port",
    "create_directories",
    "write_config",
    "create_network",
    "create_container",
    "start_gateway",
    "wait_for_gateway",
    "route",
    "keep_snapshot",
];

/// Number of instances that are updated at once.
const BATCH: usize = 4;

/// Time for lease, reaper and the job itself on a busy machine.
pub(super) const RECOVERED: Duration = Duration::from_secs(40);

async fn environment(count: usize) -> (TestEnv, Vec<(Accepted, Before)>) {
    let env = TestEnv::builder().lease(4.0).set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "100").build().await;
    let mut made = Vec::new();
    for n in 0..count {
        let accepted = running(&env, &format!("number {n}")).await;
        write_state(&env, &accepted.instance);
        let before = look(&env, &accepted.instance).await;
        made.push((accepted, before));
    }
    retire(&env).await;
    (env, made)
}

/// For each of these kill points, an instance whose update to this image kills its worker there. A healthy worker runs
/// at the end.
async fn dies_on_the_way_to(image: FakeMode, points: &[String]) -> (TestEnv, Vec<(Accepted, Accepted, Before)>) {
    let (env, made) = environment(points.len()).await;
    let mut asked = Vec::new();
    for (accepted, before) in made {
        asked.push((update(&env, &accepted.instance).await, accepted, before));
    }
    let doomed: Vec<_> = points
        .iter()
        .map(|point| {
            let options = failing_on(image, &format!("update.{point}=return"));
            env.start_worker(&options.set("CLAWDEPLOY_LIFECYCLE_CONCURRENCY", "1"))
        })
        .collect();
    for worker in &doomed {
        worker.ended_within(RECOVERED).await;
    }
    env.add_worker(&on(image)).await;
    (env, asked)
}

/// A worker dies at each of these kill points of an update, and the next one completes it.
async fn dies_at(points: &[String]) {
    let (env, asked) = dies_on_the_way_to(FakeMode::Next, points).await;
    let image = image_id(FakeMode::Next).await;
    for (update, made, before) in &asked {
        wait_job_within(&env, &update.job, "succeeded", RECOVERED).await;
        let row = instance(&env, &made.instance).await;
        assert_eq!((&row["status"], &row["image_id"]), (&json!("running"), &json!(image)), "{points:?}");
        assert_eq!(tree(&env, &made.instance), before.tree, "{points:?}");
        assert_eq!(http(before.port, "/readyz").await.map(|(status, _)| status), Some(200));
        assert_eq!(env.world().await.containers_of(&made.instance).len(), 1, "{points:?}");
    }
    env.finish().await;
}

/// A worker dies at each of these kill points of an update that fails: everything is undone.
async fn dies_at_and_rolls_back(points: &[String]) {
    let (env, asked) = dies_on_the_way_to(FakeMode::Migrate, points).await;
    for (update, made, before) in &asked {
        wait_job_within(&env, &update.job, "failed", RECOVERED).await;
        assert_as_before(&env, &made.instance, before).await;
    }
    env.finish().await;
}

fn points(steps: &[&str], places: &[&str]) -> Vec<String> {
    steps.iter().flat_map(|step| places.iter().map(move |place| format!("{step}.{place}"))).collect()
}

#[tokio::test]
async fn workers_that_die_between_effect_and_record() {
    dies_at(&points(&["stop_gateway", "take_snapshot", "create_container", "start_gateway"], &["between"])).await;
}

/// A complete update is not repeated, and its snapshot is kept.
#[tokio::test]
async fn a_worker_that_dies_at_the_very_end() {
    let (env, asked) = dies_on_the_way_to(FakeMode::Next, &["end.before".to_owned()]).await;
    let (update, made, _) = &asked[0];
    wait_job_within(&env, &update.job, "succeeded", RECOVERED).await;
    let kept = env.row(&format!("SELECT status FROM snapshots WHERE job_id = '{}'", update.job)).await;
    assert_eq!(kept["status"], "kept");
    let back = env.user("ann").await.act(&made.instance, "rollback").await;
    wait_job(&env, &back.job, "succeeded").await;
    assert_eq!(instance(&env, &made.instance).await["image_id"], image_id(FakeMode::Ok).await);
    env.finish().await;
}

#[tokio::test]
async fn workers_that_die_before_a_way_back() {
    dies_at_and_rolls_back(&points(&["take_snapshot", "remove_container", "start_gateway"], &["after"])).await;
}

/// The files are put back once, wherever a worker dies: before it, after it but before it is recorded, and after that
/// but before the step's event.
#[tokio::test]
async fn workers_that_die_while_files_are_put_back() {
    dies_at_and_rolls_back(&points(&["put_files_back"], &["undo", "restored", "undone"])).await;
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn workers_that_die_anywhere_on_the_way_back() {
    let undos = ["remove_container", "put_files_back", "resume_gateway", "forget_change"];
    for batch in points(&undos, &["undo", "undone"]).chunks(BATCH) {
        dies_at_and_rolls_back(batch).await;
    }
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn workers_that_die_anywhere() {
    for batch in points(&STEPS, &["before", "between", "after"]).chunks(BATCH) {
        dies_at(batch).await;
    }
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn workers_that_die_anywhere_before_a_way_back() {
    // Without the last three steps, because the gateway exits before.
    for batch in points(&STEPS[..12], &["before", "between", "after"]).chunks(BATCH) {
        dies_at_and_rolls_back(batch).await;
    }
}

/// Holds an update before this step, cancels it and releases it.
async fn cancelled_at(step: &str) {
    let (env, made) = environment(1).await;
    let (accepted, before) = &made[0];
    let asked = update(&env, &accepted.instance).await;
    let hold = Hold::default();
    env.add_worker(&failing_on(FakeMode::Next, &hold.at(&format!("update.{step}.before")))).await;
    hold.reached(&env).await;
    env.user("ann").await.post_empty(&format!("/api/jobs/{}/cancel", asked.job)).await.expect(202);
    hold.release();
    wait_job(&env, &asked.job, "cancelled").await;
    assert_as_before(&env, &accepted.instance, before).await;
    env.finish().await;
}

#[tokio::test]
async fn cancelled_with_the_gateway_stopped() {
    cancelled_at("take_snapshot").await;
}

#[tokio::test]
async fn cancelled_at_the_end() {
    cancelled_at("keep_snapshot").await;
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn cancelled_anywhere() {
    for step in STEPS {
        cancelled_at(step).await;
    }
}
