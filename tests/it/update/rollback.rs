//! Updates that fail or are rolled back: everything is as before.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, Hold, TestEnv, disk::SmallDisk};
use serde_json::json;

use super::support::{
    assert_as_before, failing_on, image_id, look, on, retire, snapshots_on_disk, tree, update, updated, with_newer,
    write_state,
};
use crate::support::{http, instance, port, running, wait_job, wait_job_within, wait_step};

/// An update to this image fails with this code, and everything is as before.
async fn fails(image: FakeMode, code: &str) {
    // The old gateway also has to become ready within this time.
    let env = TestEnv::builder().ready(10.0).build().await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let before = look(&env, &made.instance).await;
    with_newer(&env, image).await;
    let asked = update(&env, &made.instance).await;
    let job = wait_job(&env, &asked.job, "failed").await;
    assert_eq!(job["error_code"], code, "{job}");
    if matches!(image, FakeMode::Exit | FakeMode::Migrate) {
        let message = job["error_message"].as_str().unwrap();
        assert!(message.contains("told to fail with 1"), "{message}");
    }
    assert_as_before(&env, &made.instance, &before).await;
    let log = env.rows(&format!("SELECT message FROM job_events WHERE job_id = '{}'", asked.job)).await;
    assert!(log.iter().any(|e| e["message"].as_str().unwrap().starts_with("Rolled back")), "{log:?}");
    env.finish().await;
}

#[tokio::test]
async fn an_image_that_is_never_ready() {
    fails(FakeMode::Never, "gateway_not_ready").await;
}

#[tokio::test]
async fn an_image_that_crashes_at_boot() {
    fails(FakeMode::Exit, "gateway_exited").await;
}

#[tokio::test]
async fn an_image_that_migrates_the_state_and_then_dies() {
    fails(FakeMode::Migrate, "gateway_exited").await;
}

#[tokio::test]
async fn by_hand_and_forth_again() {
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let before = look(&env, &made.instance).await;
    with_newer(&env, FakeMode::Next).await;
    updated(&env, &made.instance).await;
    // As if the newer version had migrated the state.
    tokio::fs::write(env.data_dir.join(&made.instance).join("config/state/db"), "of another version").await.unwrap();
    let between = look(&env, &made.instance).await;

    let back = ann.act(&made.instance, "rollback").await;
    wait_job(&env, &back.job, "succeeded").await;
    let row = instance(&env, &made.instance).await;
    assert_eq!((&row["image_id"], &row["status"]), (&before.row["image_id"], &json!("running")));
    assert_eq!(tree(&env, &made.instance), before.tree);
    assert_eq!(http(port(&env, &made.instance).await, "/readyz").await.map(|(status, _)| status), Some(200));

    // A rollback is a change, so it can be rolled back too.
    let forth = ann.act(&made.instance, "rollback").await;
    wait_job(&env, &forth.job, "succeeded").await;
    assert_eq!(instance(&env, &made.instance).await["image_id"], image_id(FakeMode::Next).await);
    assert_eq!(tree(&env, &made.instance), between.tree);
    env.finish().await;
}

#[tokio::test]
async fn cancelled_while_the_new_gateway_starts() {
    let env = TestEnv::builder().ready(60.0).build().await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let before = look(&env, &made.instance).await;
    with_newer(&env, FakeMode::Never).await;
    let asked = update(&env, &made.instance).await;
    wait_step(&env, &asked.job, "wait_for_gateway").await;
    env.user("ann").await.post_empty(&format!("/api/jobs/{}/cancel", asked.job)).await.expect(202);
    wait_job(&env, &asked.job, "cancelled").await;
    assert_as_before(&env, &made.instance, &before).await;
    env.finish().await;
}

#[tokio::test]
async fn deleted_while_it_is_updated() {
    let env = TestEnv::builder().ready(60.0).build().await;
    let made = running(&env, "first").await;
    with_newer(&env, FakeMode::Never).await;
    let asked = update(&env, &made.instance).await;
    wait_step(&env, &asked.job, "wait_for_gateway").await;
    let gone = env.user("ann").await.remove(&made.instance).await;
    wait_job(&env, &asked.job, "cancelled").await;
    wait_job(&env, &gone.job, "succeeded").await;
    env.assert_nothing_left_of(&made.instance).await;
    assert_eq!(snapshots_on_disk(&env, &made.instance), Vec::<String>::new());
    env.finish().await;
}

#[tokio::test]
async fn a_disk_that_is_full_is_noticed_before_anything_stops() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&scratch.path().join("disk"), 64 << 10);
    let env = TestEnv::builder().data_dir(disk.path()).build().await;
    let made = running(&env, "first").await;
    let before = look(&env, &made.instance).await;
    with_newer(&env, FakeMode::Next).await;
    let asked = update(&env, &made.instance).await;
    let job = wait_job(&env, &asked.job, "failed").await;
    assert_eq!(job["error_code"], "disk_full");
    assert_eq!(instance(&env, &made.instance).await["container_id"], before.row["container_id"]);
    assert_as_before(&env, &made.instance, &before).await;
    env.finish().await;
}

#[tokio::test]
async fn a_disk_that_fills_up_while_the_files_are_copied() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&scratch.path().join("disk"), 512 << 10);
    let env = TestEnv::builder().data_dir(disk.path()).build().await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let state = env.data_dir.join(&made.instance).join("config/state/large");
    tokio::fs::write(&state, vec![7; 4 << 20]).await.unwrap();
    let before = look(&env, &made.instance).await;
    retire(&env).await;
    let asked = update(&env, &made.instance).await;
    let hold = Hold::default();
    env.add_worker(&failing_on(FakeMode::Next, &hold.at("update.take_snapshot.before"))).await;
    hold.reached(&env).await;
    disk.fill();
    hold.release();
    let job = wait_job(&env, &asked.job, "failed").await;
    assert_eq!(job["error_code"], "disk_full");
    disk.free();
    assert_as_before(&env, &made.instance, &before).await;
    env.finish().await;
}

#[tokio::test]
async fn workers_that_die_while_they_roll_back() {
    let env = TestEnv::builder().lease(4.0).build().await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let before = look(&env, &made.instance).await;
    retire(&env).await;
    let asked = update(&env, &made.instance).await;
    // Each dies at a different undo.
    for undo in ["remove_container", "put_files_back"] {
        let worker = env.start_worker(&failing_on(FakeMode::Migrate, &format!("update.{undo}.undo=return")));
        worker.ended_within(Duration::from_secs(30)).await;
    }
    env.add_worker(&on(FakeMode::Migrate)).await;
    wait_job_within(&env, &asked.job, "failed", Duration::from_mins(1)).await;
    assert_as_before(&env, &made.instance, &before).await;
    env.finish().await;
}
