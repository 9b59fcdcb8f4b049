//! The engine is down in the middle of an update, for more attempts than an undo may fail: this does not count as a
//! failure.

use clawdeploy_tests::{FakeMode, Hold, TestEnv, docker_proxy::DockerProxy};
use serde_json::{Value, json};

use super::support::{
    assert_as_before, failing_on, image_id, look, retire, snapshots_on_disk, tree, update, write_state,
};
use crate::support::{SOON, instance, job, running, wait_job};

/// Holds an update to this image at `point`, and stops the engine there until the job was tried some times. Returns the
/// job at its end.
async fn away_at(image: FakeMode, point: &str, end: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let engine = DockerProxy::new(dir.path());
    let env = TestEnv::builder().ready(20.0).lease(4.0).set("CLAWDEPLOY_DOCKER_HOST", &engine.host()).build().await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let before = look(&env, &made.instance).await;
    retire(&env).await;
    let asked = update(&env, &made.instance).await;
    let hold = Hold::default();
    env.add_worker(&failing_on(image, &hold.at(&format!("update.{point}")))).await;
    hold.reached(&env).await;
    if end == "failed" {
        // One more failure that counts would end the undo.
        let undo = "jsonb_build_object('failures', 14, 'since', now())";
        env.execute(&format!("UPDATE jobs SET undo = {undo} WHERE id = '{}'", asked.job)).await;
    }
    // Before the undo, five failures would end the job.
    let tries = if end == "failed" { 6 } else { 2 };
    engine.shut();
    hold.release();
    let first = job(&env, &asked.job).await["attempt"].as_i64().unwrap();
    let tried = async || {
        // Without the growing pauses between attempts.
        env.execute("UPDATE jobs SET run_at = now() WHERE status = 'queued'").await;
        let job = job(&env, &asked.job).await;
        assert!(["queued", "running"].contains(&job["status"].as_str().unwrap()), "{job}");
        (job["attempt"].as_i64()? >= first + tries).then_some(())
    };
    env.wait_for("some tries without the engine", SOON, tried).await;
    engine.open();
    env.execute("UPDATE jobs SET run_at = now() WHERE status = 'queued'").await;
    let ended = wait_job(&env, &asked.job, end).await;
    assert_eq!(ended["crashes"], 0, "it counted as a crash: {ended}");
    if end == "failed" {
        assert_as_before(&env, &made.instance, &before).await;
        assert_eq!(ended["undo"]["failures"], 14, "{ended}");
    } else {
        assert_eq!(instance(&env, &made.instance).await["image_id"], image_id(image).await);
        assert_eq!(tree(&env, &made.instance), before.tree);
        // The snapshot for a rollback is still there.
        let kept = env.row(&format!("SELECT id, status FROM snapshots WHERE job_id = '{}'", asked.job)).await;
        assert_eq!(kept["status"], "kept");
        assert_eq!(snapshots_on_disk(&env, &made.instance), [kept["id"].as_str().unwrap()]);
    }
    let stuck = "SELECT id FROM snapshots WHERE stuck_at IS NOT NULL";
    assert_eq!(env.rows(stuck).await, Vec::<Value>::new());
    env.finish().await;
    ended
}

#[tokio::test]
async fn while_the_files_are_put_back() {
    let ended = away_at(FakeMode::Migrate, "put_files_back.undo", "failed").await;
    assert_eq!(ended["error_code"], "gateway_exited", "{ended}");
}

/// All steps are undone, and only the instance's status is not known yet.
#[tokio::test]
async fn once_everything_is_undone() {
    let ended = away_at(FakeMode::Migrate, "forget_change.undone", "failed").await;
    assert_eq!(ended["error_code"], "gateway_exited", "{ended}");
}

/// The update is complete, and must not be undone because the engine cannot be asked.
#[tokio::test]
async fn once_everything_is_done() {
    let ended = away_at(FakeMode::Next, "keep_snapshot.after", "succeeded").await;
    assert_eq!((&ended["error_code"], &ended["unwinding_to"]), (&json!(null), &json!(null)), "{ended}");
}
