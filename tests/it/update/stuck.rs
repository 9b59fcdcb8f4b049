//! A change whose undo is given up: everything that was kept stays, and an administrator's retry continues the undo.

use std::path::PathBuf;

use clawdeploy_tests::{FakeMode, Hold, TestEnv, client::Accepted};
use serde_json::{Value, json};

use super::support::{
    Before, assert_as_before, failing_on, image_id, look, on, retire, snapshots_on_disk, update, updated, with_newer,
    write_state,
};
use crate::support::{SOON, deleted, done, instance, job, running, story, wait_job};

/// An update whose undo was given up because it could not put the files back.
struct Stuck {
    made: Accepted,
    update: Accepted,
    before: Before,
    /// Path of the snapshot's files.
    kept: PathBuf,
}

impl Stuck {
    /// `end`: the update fails or is cancelled. The snapshot cannot be found when its files are put back.
    async fn new(env: &TestEnv, end: &str) -> Self {
        let made = running(env, "first").await;
        write_state(env, &made.instance);
        let before = look(env, &made.instance).await;
        retire(env).await;
        let update = update(env, &made.instance).await;
        let (image, point) = match end {
            "cancelled" => (FakeMode::Never, "update.wait_for_gateway.before"),
            _ => (FakeMode::Migrate, "update.put_files_back.undo"),
        };
        let hold = Hold::default();
        env.add_worker(&failing_on(image, &hold.at(point))).await;
        hold.reached(env).await;
        if end == "cancelled" {
            env.user("ann").await.post_empty(&format!("/api/jobs/{}/cancel", update.job)).await.expect(202);
        }
        let names = snapshots_on_disk(env, &made.instance);
        let [name] = &names[..] else { panic!("one copy of the files, not {names:?}") };
        let kept = env.data_dir.join(".snapshots").join(&made.instance).join(name);
        std::fs::rename(&kept, kept.with_extension("aside")).unwrap();
        // Two more failures give the undo up.
        let undo = "jsonb_build_object('failures', 13, 'since', now())";
        env.execute(&format!("UPDATE jobs SET undo = {undo} WHERE id = '{}'", update.job)).await;
        hold.release();
        wait_job(env, &update.job, "failed").await;
        std::fs::rename(kept.with_extension("aside"), &kept).unwrap();
        Self { made, update, before, kept }
    }

    /// Checks that the change is not shown as undone, and that everything that was kept is still there.
    async fn assert_kept(&self, env: &TestEnv) {
        let dead = job(env, &self.update.job).await;
        assert_eq!((&dead["status"], &dead["error_code"]), (&json!("failed"), &json!("undo_failed")), "{dead}");
        let change = env.row("SELECT * FROM snapshots").await;
        assert_eq!(change["status"], "changing");
        assert!(change["stuck_at"].is_string() && change["restored_at"].is_null(), "{change}");
        assert_eq!(std::fs::read_to_string(self.kept.join("state/db")).unwrap(), "of this version");
        let shown = env.user("ann").await.instance(&self.made.instance).await;
        assert_eq!((&shown["status"], &shown["error"]["code"]), (&json!("error"), &json!("undo_failed")), "{shown}");
        assert_eq!(shown["currentJob"], Value::Null);
    }
}

/// Requests of the owner and their responses.
async fn refusals(env: &TestEnv, id: &str) -> Vec<String> {
    let ann = env.user("ann").await;
    let path = format!("/api/instances/{id}");
    let mut answers = Vec::new();
    for verb in ["start", "stop", "restart", "update", "rollback"] {
        answers.push(format!("{verb}: {}", ann.post_empty(&format!("{path}/{verb}")).await.brief()));
    }
    for body in [json!({ "memoryMb": 3072 }), json!({ "memoryMb": 3072, "applyNow": true })] {
        answers.push(format!("{body}: {}", ann.patch(&path, &body).await.brief()));
    }
    answers
}

async fn retry(env: &TestEnv, job: &str) -> Value {
    env.admin().await.post_empty(&format!("/api/admin/jobs/{job}/retry")).await.expect(202).json
}

#[tokio::test]
async fn nothing_is_lost_and_a_retry_goes_on() {
    let env = TestEnv::builder().ready(20.0).build().await;
    let stuck = Stuck::new(&env, "failed").await;
    let (id, update) = (stuck.made.instance.as_str(), stuck.update.job.as_str());
    stuck.assert_kept(&env).await;
    let told = story(&env, update).await;
    assert_eq!(told.iter().filter(|entry| *entry == "retry").count(), 1, "one more try was left: {told:?}");
    // Each attempt undoes the later steps again, last first, but no earlier ones, because those need the files.
    let undone: Vec<_> = told.iter().filter(|entry| entry.starts_with("step_undone")).collect();
    assert_eq!(undone, ["step_undone create_container"; 2]);
    let said = "SELECT id FROM job_events WHERE message LIKE 'Rolled back%'";
    assert_eq!(env.rows(said).await, Vec::<Value>::new());
    let dead = job(&env, update).await;
    let message = dead["error_message"].as_str().unwrap();
    assert!(message.contains("told to fail with 1") && message.contains(&format!("{update}/retry")), "{message}");
    let changes = env.user("ann").await.get(&format!("/api/instances/{id}/changes")).await.expect(200).json;
    assert_eq!((&changes["items"][0]["status"], &changes["items"][0]["canRollBack"]), (&json!("stuck"), &json!(false)));

    // Neither users nor sweeps change it, except for the measured disk usage.
    let looked = async || {
        let mut row = instance(&env, id).await;
        row.as_object_mut().unwrap().retain(|column, _| !column.starts_with("disk_"));
        row
    };
    let before = looked().await;
    let ask = refusals(&env, id).await;
    assert!(ask.iter().all(|answer| answer.ends_with("409 undo_failed")), "{ask:?}");
    let drop = env.admin().await.delete(&format!("/api/admin/jobs/{update}")).await;
    assert_eq!(drop.expect(409).code(), "undo_failed");
    env.admin().await.post_empty("/api/admin/reconcile").await.expect(200);
    assert_eq!(looked().await, before);
    stuck.assert_kept(&env).await;

    assert_eq!(retry(&env, update).await["status"], "queued");
    let ended = wait_job(&env, update, "failed").await;
    // The job ends as it would have without the stuck undo.
    assert_eq!((&ended["error_code"], &ended["undo"]), (&json!("gateway_exited"), &Value::Null), "{ended}");
    assert_as_before(&env, id, &stuck.before).await;
    let change = env.row("SELECT * FROM snapshots").await;
    assert_eq!((&change["status"], &change["stuck_at"]), (&json!("rolled_back"), &Value::Null));
    assert!(change["restored_at"].is_string(), "{change}");
    assert_eq!(env.rows(said).await.len(), 1);
    done(&env, id, "restart").await;
    retire(&env).await;
    env.add_worker(&on(FakeMode::Next)).await;
    updated(&env, id).await;
    env.finish().await;
}

/// The same after a cancellation: the retry ends the job as cancelled.
#[tokio::test]
async fn one_that_was_cancelled() {
    let env = TestEnv::builder().ready(60.0).build().await;
    let stuck = Stuck::new(&env, "cancelled").await;
    stuck.assert_kept(&env).await;
    retry(&env, &stuck.update.job).await;
    let ended = wait_job(&env, &stuck.update.job, "cancelled").await;
    assert_eq!((&ended["error_code"], &ended["error_message"]), (&Value::Null, &Value::Null), "{ended}");
    assert_as_before(&env, &stuck.made.instance, &stuck.before).await;
    env.finish().await;
}

#[tokio::test]
async fn it_can_be_deleted() {
    let env = TestEnv::builder().ready(20.0).build().await;
    let stuck = Stuck::new(&env, "failed").await;
    let id = stuck.made.instance.as_str();
    deleted(&env, id).await;
    let quarantine = env.data_dir.join(".quarantine").join(id);
    let name = stuck.kept.file_name().unwrap();
    let db = quarantine.join("snapshots").join(name).join("state/db");
    assert_eq!(std::fs::read_to_string(db).unwrap(), "of this version", "the snapshot must be in the quarantine too");
    env.finish().await;
}

/// An undo that panics counts as a failed undo, and the job's own error stays.
#[tokio::test]
async fn an_undo_that_panics() {
    let env = TestEnv::builder().ready(20.0).build().await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let before = look(&env, &made.instance).await;
    retire(&env).await;
    let asked = update(&env, &made.instance).await;
    let worker = env.add_worker(&failing_on(FakeMode::Migrate, "update.put_files_back.undo=panic")).await;
    let counted = async || job(&env, &asked.job).await["undo"]["failures"].as_i64().filter(|failures| *failures >= 2);
    env.wait_for("two undos that panic", SOON, counted).await;
    assert_eq!(job(&env, &asked.job).await["failures"], 0);
    worker.terminate().await;
    env.add_worker(&on(FakeMode::Migrate)).await;
    let ended = wait_job(&env, &asked.job, "failed").await;
    assert_eq!(ended["error_code"], "gateway_exited", "{ended}");
    assert_as_before(&env, &made.instance, &before).await;
    env.finish().await;
}

/// A rollout updates the other instances and reports why it skipped this one.
#[tokio::test]
async fn an_update_of_everything_passes_it_by() {
    let env = TestEnv::builder().ready(20.0).build().await;
    let stuck = Stuck::new(&env, "failed").await;
    with_newer(&env, FakeMode::Next).await;
    let all = env.admin().await.post("/api/admin/update-all", &json!({ "rebuild": false })).await.expect(202);
    let all = all.json["job"]["id"].as_str().unwrap().to_owned();
    wait_job(&env, &all, "succeeded").await;
    let member = env.row("SELECT instance_id, status, update_job_id, error_message FROM rollout_members").await;
    assert_eq!((&member["instance_id"], &member["status"]), (&json!(stuck.made.instance), &json!("skipped")));
    let why = member["error_message"].as_str().unwrap();
    assert!(why.contains("could not be undone") && why.contains(&stuck.update.job), "{why}");
    stuck.assert_kept(&env).await;

    // After the retry, the next rollout includes it.
    retry(&env, &stuck.update.job).await;
    wait_job(&env, &stuck.update.job, "failed").await;
    let again = env.admin().await.post("/api/admin/update-all", &json!({ "rebuild": false })).await.expect(202);
    wait_job(&env, again.json["job"]["id"].as_str().unwrap(), "succeeded").await;
    assert_eq!(instance(&env, &stuck.made.instance).await["image_id"], image_id(FakeMode::Next).await);
    env.finish().await;
}
