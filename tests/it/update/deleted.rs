//! A delete behind a change or a restart: nobody waits for a gateway that is started only to be deleted. If the delete
//! is cancelled, the gateway comes back.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, Hold, TestEnv, WorkerOptions};
use serde_json::json;

use super::support::{assert_as_before, failing_on, look, retire, update, with_newer, write_state};
use crate::support::{SOON, instance, job, running, starts, wait_job, wait_status, wait_step};

/// How often the gateway of a deleted instance was started, by the files in the quarantine.
fn starts_before(env: &TestEnv, id: &str) -> usize {
    starts(env, &format!(".quarantine/{id}/files"))
}

#[tokio::test]
async fn the_old_gateway_is_not_started() {
    let env = TestEnv::builder().ready(60.0).build().await;
    let made = running(&env, "first").await;
    with_newer(&env, FakeMode::Never).await;
    let asked = update(&env, &made.instance).await;
    wait_step(&env, &asked.job, "wait_for_gateway").await;
    let gone = env.user("ann").await.remove(&made.instance).await;
    wait_job(&env, &asked.job, "cancelled").await;
    wait_job(&env, &gone.job, "succeeded").await;
    // The files are those from before the update.
    assert_eq!(starts_before(&env, &made.instance), 1);
    env.assert_nothing_left_of(&made.instance).await;
    env.finish().await;
}

/// The update was cancelled by itself, and its undo waits for the old gateway, which never answers.
#[tokio::test]
async fn the_old_gateway_is_not_waited_for() {
    let env = TestEnv::builder().ready(600.0).build().await;
    let made = running(&env, "first").await;
    tokio::fs::write(env.data_dir.join(&made.instance).join("config/fate"), "never").await.unwrap();
    with_newer(&env, FakeMode::Never).await;
    let asked = update(&env, &made.instance).await;
    wait_step(&env, &asked.job, "wait_for_gateway").await;
    env.user("ann").await.post_empty(&format!("/api/jobs/{}/cancel", asked.job)).await.expect(202);
    // Once in the container of before, whose files were put back.
    let old = async || (starts(&env, &made.instance) == 2).then_some(());
    env.wait_for("the old gateway to start", SOON, old).await;
    let gone = env.user("ann").await.remove(&made.instance).await;
    wait_job(&env, &gone.job, "succeeded").await;
    assert_eq!(job(&env, &asked.job).await["status"], "cancelled");
    env.assert_nothing_left_of(&made.instance).await;
    env.finish().await;
}

#[tokio::test]
async fn a_restart_starts_nothing_either() {
    let env = TestEnv::builder().workers(0).build().await;
    let hold = Hold::default();
    env.add_worker(&WorkerOptions::failpoints(&hold.at("restart.create_container.after"))).await;
    let made = running(&env, "first").await;
    let restart = env.user("ann").await.act(&made.instance, "restart").await;
    hold.reached(&env).await;
    let gone = env.user("ann").await.remove(&made.instance).await;
    // The worker hears of the cancellation when it renews its leases; the second renewal is after it heard.
    let lease = async || env.row("SELECT lease_until::text AS until FROM jobs WHERE kind = 'restart'").await;
    for _ in 0..2 {
        let before = lease().await;
        env.wait_for("a renewal", SOON, async || (lease().await != before).then_some(())).await;
    }
    hold.release();
    wait_job(&env, &restart.job, "cancelled").await;
    wait_job(&env, &gone.job, "succeeded").await;
    assert_eq!(starts_before(&env, &made.instance), 1);
    env.finish().await;
}

/// The delete is cancelled when the undo has already left the gateway stopped.
#[tokio::test]
async fn a_delete_that_is_cancelled_gives_the_gateway_back() {
    let env = TestEnv::builder().ready(60.0).build().await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let before = look(&env, &made.instance).await;
    retire(&env).await;
    let hold = Hold::default();
    env.add_worker(&failing_on(FakeMode::Never, &hold.at("update.resume_gateway.undone"))).await;
    let asked = update(&env, &made.instance).await;
    wait_step(&env, &asked.job, "wait_for_gateway").await;
    let ann = env.user("ann").await;
    let gone = ann.remove(&made.instance).await;
    hold.reached(&env).await;
    assert_eq!(starts(&env, &made.instance), 1, "the old gateway was left stopped");
    let answer = ann.post_empty(&format!("/api/jobs/{}/cancel", gone.job)).await.expect(202);
    assert_eq!(answer.json["status"], "cancelled");
    hold.release();
    wait_job(&env, &asked.job, "cancelled").await;
    assert_eq!(instance(&env, &made.instance).await["desired_state"], "running");
    wait_status(&env, &made.instance, "running", Duration::from_mins(1)).await;
    assert_as_before(&env, &made.instance, &before).await;
    let jobs = env.rows("SELECT status, requested_by FROM jobs WHERE kind = 'start'").await;
    assert_eq!(jobs, [json!({ "status": "succeeded", "requested_by": null })]);
    env.finish().await;
}
