//! Requests of the owner while a change is about to end.

use clawdeploy_tests::{FakeMode, Hold, TestEnv, WorkerOptions, docker};
use serde_json::{Value, json};

use super::support::{failing_on, image_id, retire, update};
use crate::support::{done, instance, running, wait_job};

/// Memory limit of an instance's container in MiB.
async fn memory(id: &str) -> u64 {
    docker::inspect(&format!("claw-{id}"), "{{.HostConfig.Memory}}").await.trim().parse::<u64>().unwrap() >> 20
}

async fn edit(env: &TestEnv, id: &str, body: &Value) -> Value {
    env.user("ann").await.patch(&format!("/api/instances/{id}"), body).await.expect(200).json
}

/// Changes a setting to `second` while an update is held just before its end. `first` was pending when the update
/// started.
async fn edited_at_the_end_of_an_update(first: Option<u32>, second: u32) {
    let env = TestEnv::builder().workers(0).build().await;
    let worker = env.add_worker(&WorkerOptions::default()).await;
    let made = running(&env, "first").await;
    let id = made.instance.as_str();
    worker.terminate().await;
    if let Some(first) = first {
        edit(&env, id, &json!({ "memoryMb": first })).await;
    }
    let asked = update(&env, id).await;
    let hold = Hold::default();
    env.add_worker(&failing_on(FakeMode::Next, &hold.at("update.keep_snapshot.before"))).await;
    hold.reached(&env).await;
    edit(&env, id, &json!({ "memoryMb": second })).await;
    hold.release();
    wait_job(&env, &asked.job, "succeeded").await;
    let row = instance(&env, id).await;
    assert_eq!(row["image_id"], image_id(FakeMode::Next).await);
    assert_eq!(row["memory_mb"], first.unwrap_or(2048));
    assert_eq!(row["pending_settings"]["memoryMb"], second, "what was accepted meanwhile is wiped: {row}");
    let shown = env.user("ann").await.instance(id).await;
    assert_eq!(shown["pendingChanges"], json!(["memoryMb"]));
    done(&env, id, "restart").await;
    let row = instance(&env, id).await;
    assert_eq!((&row["memory_mb"], &row["pending_settings"]), (&json!(second), &Value::Null));
    assert_eq!(memory(id).await, u64::from(second));
    env.finish().await;
}

#[tokio::test]
async fn a_setting_is_changed_while_an_update_ends() {
    edited_at_the_end_of_an_update(None, 3072).await;
}

#[tokio::test]
async fn another_setting_than_the_one_that_is_applied() {
    edited_at_the_end_of_an_update(Some(3072), 4096).await;
}

#[tokio::test]
async fn the_setting_of_before_while_another_is_applied() {
    edited_at_the_end_of_an_update(Some(3072), 2048).await;
}

/// Cancels a start that also applies settings: the instance stays stopped, and the settings stay pending.
async fn a_start_is_cancelled_at(point: &str) {
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let made = running(&env, "first").await;
    let id = made.instance.as_str();
    done(&env, id, "stop").await;
    edit(&env, id, &json!({ "memoryMb": 3072 })).await;
    retire(&env).await;
    let start = ann.act(id, "start").await;
    assert_eq!(start.answer.json["job"]["kind"], "recreate");
    let hold = Hold::default();
    let options = WorkerOptions::failpoints(&hold.at(&format!("recreate.{point}")));
    env.add_worker(&options).await;
    hold.reached(&env).await;
    ann.post_empty(&format!("/api/jobs/{}/cancel", start.job)).await.expect(202);
    hold.release();
    wait_job(&env, &start.job, "cancelled").await;
    let row = instance(&env, id).await;
    assert_eq!((&row["status"], &row["desired_state"]), (&json!("stopped"), &json!("stopped")), "{row}");
    assert_eq!((&row["memory_mb"], &row["pending_settings"]["memoryMb"]), (&json!(2048), &json!(3072)), "{row}");
    let world = env.world().await;
    let states: Vec<_> = world.containers_of(id).iter().map(|container| container.state.as_str()).collect();
    assert!(!states.contains(&"running") && states.len() == 1, "cancelled, yet {states:?}");
    done(&env, id, "start").await;
    assert_eq!(instance(&env, id).await["memory_mb"], 3072);
    env.finish().await;
}

#[tokio::test]
async fn a_start_with_settings_is_cancelled_before_it_is_kept() {
    a_start_is_cancelled_at("keep_snapshot.before").await;
}

#[tokio::test]
async fn a_start_with_settings_is_cancelled_at_its_very_end() {
    a_start_is_cancelled_at("end.before").await;
}
