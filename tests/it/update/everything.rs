//! Rollouts: waves, failures that stop them, and cancellation.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, TestEnv, client::Accepted, wait};
use serde_json::json;

use super::support::{image_id, with_newer};
use crate::support::{SOON, http, instance, port, wait_job, wait_job_within};

/// Instances are updated one after the other, and some start their old gateway again.
const PATIENCE: Duration = Duration::from_mins(3);

/// An installation with so many running instances, whose workers have this newer image.
async fn environment(count: usize, newer: FakeMode) -> (TestEnv, Vec<Accepted>) {
    let env = TestEnv::builder().set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "20").build().await;
    let ann = env.user("ann").await;
    let mut made = Vec::new();
    for n in 0..count {
        made.push(ann.create(&format!("number {n}")).await);
    }
    for accepted in &made {
        wait_job(&env, &accepted.job, "succeeded").await;
    }
    with_newer(&env, newer).await;
    (env, made)
}

/// Requests a rollout of the current image; returns the job.
async fn update_all(env: &TestEnv) -> String {
    let answer = env.admin().await.post("/api/admin/update-all", &json!({ "rebuild": false })).await.expect(202);
    answer.json["job"]["id"].as_str().unwrap().to_owned()
}

/// Wave and status of each instance, in order.
async fn members(env: &TestEnv) -> Vec<(i64, String)> {
    let rows = env.rows("SELECT wave, status FROM rollout_members ORDER BY wave, status").await;
    rows.iter().map(|m| (m["wave"].as_i64().unwrap(), m["status"].as_str().unwrap().to_owned())).collect()
}

/// Checks that every instance answers and runs this image.
async fn all_run(env: &TestEnv, made: &[Accepted], image: FakeMode) {
    let image = image_id(image).await;
    for accepted in made {
        let running = async || (instance(env, &accepted.instance).await["status"] == "running").then_some(());
        assert!(wait::poll(SOON, running).await.is_some(), "{}", instance(env, &accepted.instance).await);
        assert_eq!(instance(env, &accepted.instance).await["image_id"], image);
        assert_eq!(http(port(env, &accepted.instance).await, "/readyz").await.map(|(status, _)| status), Some(200));
    }
}

#[tokio::test]
async fn in_waves() {
    let (env, made) = environment(5, FakeMode::Next).await;
    let job = update_all(&env).await;
    wait_job(&env, &job, "succeeded").await;
    all_run(&env, &made, FakeMode::Next).await;
    let waves: Vec<_> = members(&env).await;
    let updated = |wave| (wave, "updated".to_owned());
    assert_eq!(waves, [updated(0), updated(1), updated(2), updated(2), updated(2)]);
    env.finish().await;
}

#[tokio::test]
async fn two_failures_stop_it() {
    let (env, made) = environment(4, FakeMode::Exit).await;
    let job = update_all(&env).await;
    assert_eq!(wait_job(&env, &job, "failed").await["error_code"], "rollout_failed");
    let ended: Vec<_> = members(&env).await.into_iter().map(|(_, status)| status).collect();
    assert_eq!(ended, ["failed", "failed", "skipped", "skipped"]);
    assert_eq!(env.rows("SELECT fault FROM rollout_members WHERE fault = 'image'").await.len(), 2);
    all_run(&env, &made, FakeMode::Ok).await;
    env.finish().await;
}

/// Two instances with broken files neither stop the rollout nor count against the image. Once repaired, they are
/// updated last by a retry.
#[tokio::test]
async fn broken_ones_do_not_hold_it_back() {
    let (env, made) = environment(5, FakeMode::Next).await;
    let fate = |id: &str| env.data_dir.join(id).join("config/fate");
    for broken in &made[..2] {
        tokio::fs::write(fate(&broken.instance), "exit").await.unwrap();
    }
    let excluded = &made[4].instance;
    let form = json!({ "rebuild": false, "exclude": [excluded] });
    let answer = env.admin().await.post("/api/admin/update-all", &form).await.expect(202);
    let job = answer.json["job"]["id"].as_str().unwrap().to_owned();
    assert_eq!(wait_job_within(&env, &job, "failed", PATIENCE).await["error_code"], "rollout_incomplete");
    let sql = "SELECT instance_id, status, fault FROM rollout_members";
    for member in env.rows(sql).await {
        let id = member["instance_id"].as_str().unwrap();
        let wanted = if made[..2].iter().any(|broken| broken.instance == id) {
            (json!("failed"), json!("instance"))
        } else if id == excluded {
            (json!("skipped"), json!(null))
        } else {
            (json!("updated"), json!(null))
        };
        assert_eq!((member["status"].clone(), member["fault"].clone()), wanted, "{id}");
    }
    for mended in &made[..2] {
        tokio::fs::remove_file(fate(&mended.instance)).await.unwrap();
        // The engine restarts it, unless the breaker has tripped.
        let runs = async || {
            if instance(&env, &mended.instance).await["status"] == "running" {
                return Some(());
            }
            env.user("ann").await.post_empty(&format!("/api/instances/{}/start", mended.instance)).await;
            None
        };
        env.wait_for("the mended one to run", PATIENCE, runs).await;
    }
    env.admin().await.post_empty(&format!("/api/admin/jobs/{job}/retry")).await.expect(202);
    wait_job_within(&env, &job, "succeeded", PATIENCE).await;
    all_run(&env, &made[..4], FakeMode::Next).await;
    all_run(&env, &made[4..], FakeMode::Ok).await;
    env.finish().await;
}

/// The running update is rolled back, and the other instances stay as they are.
#[tokio::test]
async fn cancelled_in_the_first_wave() {
    let (env, made) = environment(3, FakeMode::Never).await;
    let job = update_all(&env).await;
    let under_way = async || {
        let boots = "SELECT id FROM job_events WHERE step = 'wait_for_gateway'";
        (!env.rows(boots).await.is_empty()).then_some(())
    };
    env.wait_for("the first one to be updated", SOON, under_way).await;
    env.admin().await.post_empty(&format!("/api/admin/jobs/{job}/cancel")).await.expect(202);
    wait_job(&env, &job, "cancelled").await;
    let ended: Vec<_> = members(&env).await.into_iter().map(|(_, status)| status).collect();
    assert_eq!(ended, ["skipped", "skipped", "skipped"]);
    all_run(&env, &made, FakeMode::Ok).await;
    env.finish().await;
}
