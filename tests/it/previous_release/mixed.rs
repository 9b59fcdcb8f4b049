//! Workers of both releases with one queue and one data directory.

use std::sync::Arc;

use clawdeploy_shared::{
    db::job::{self, NewJob},
    job::JobKind,
};
use clawdeploy_tests::{Client, FakeMode, TestEnv, process::Process, programs::Program};
use serde_json::{Value, json};

use super::life::worker;
use crate::{
    support::{SOON, deleted, done, instance, job as row, running, wait_job},
    update::support::retire,
};

async fn previous_worker(env: &TestEnv) -> Arc<Process> {
    env.add_worker(&worker(Program::PreviousWorker, FakeMode::Ok)).await
}

/// One pass of a previous worker. It does not know the newest sweep, and this API does not claim that it ran.
pub(super) async fn reconciled(admin: &Client) -> Vec<Value> {
    let answer = admin.post_empty("/api/admin/reconcile").await;
    assert_eq!(answer.brief(), "504 reconcile_unfinished", "{}", answer.json);
    let to_come = "did not finish in time: firewall.";
    assert!(answer.json["detail"].as_str().unwrap().contains(to_come), "{}", answer.json);
    answer.json["sweeps"].as_array().unwrap().clone()
}

/// Passes of the previous reconciler. All findings are made old enough for removal.
async fn passes(env: &TestEnv) {
    let admin = env.admin().await;
    for _ in 0..3 {
        env.execute("UPDATE sightings SET first_seen_at = first_seen_at - interval '1 hour'").await;
        for sweep in reconciled(&admin).await {
            assert!(sweep["error"].is_null(), "{sweep}");
        }
    }
}

/// An instance with a note, deleted by a worker of this release. No worker runs any more.
async fn kept(env: &TestEnv) -> String {
    let id = running(env, "first").await.instance;
    tokio::fs::write(env.data_dir.join(&id).join("workspace/note.txt"), "mine").await.unwrap();
    deleted(env, &id).await;
    retire(env).await;
    id
}

/// A previous worker does not claim a job `restore`, and jobs that it claims at the same time do not fail.
#[tokio::test]
#[ignore = "needs the programs of the release before: scripts/test --compat"]
async fn a_kind_of_job_that_only_this_release_knows() {
    let env = TestEnv::builder().lease(4.0).build().await;
    let id = kept(&env).await;
    let ann = env.user("ann").await;
    let noop = async || {
        let mut conn = env.connect().await;
        job::insert(&mut conn, &NewJob::new(JobKind::Noop)).await.unwrap().id.to_string()
    };
    let before = noop().await;
    let back = ann.post_empty(&format!("/api/instances/{id}/undelete")).await.accepted();
    let innocent = [before, noop().await, ann.create("second").await.job];
    previous_worker(&env).await;
    for id in &innocent {
        let job = wait_job(&env, id, "succeeded").await;
        assert_eq!((&job["attempt"], &job["crashes"]), (&json!(1), &json!(0)), "{job}");
    }
    passes(&env).await;
    let waits = row(&env, &back.job).await;
    assert_eq!((&waits["status"], &waits["attempt"]), (&json!("queued"), &json!(0)), "{waits}");

    env.add_worker(&worker(Program::Worker, FakeMode::Ok)).await;
    let job = wait_job(&env, &back.job, "succeeded").await;
    assert_eq!((&job["attempt"], &job["crashes"]), (&json!(1), &json!(0)), "{job}");
    assert_eq!(instance(&env, &id).await["status"], "running");
    assert_eq!(std::fs::read_to_string(env.data_dir.join(&id).join("workspace/note.txt")).unwrap(), "mine");
    env.finish().await;
}

/// A previous worker leaves the quarantine, the manifests and the directory's identity alone.
#[tokio::test]
#[ignore = "needs the programs of the release before: scripts/test --compat"]
async fn what_only_this_release_knows_on_the_disk() {
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let lives = running(&env, "lives").await.instance;
    let manifest = env.data_dir.join(&lives).join("instance.json");
    env.wait_for("the manifest", SOON, async || manifest.is_file().then_some(())).await;
    let gone = kept(&env).await;
    previous_worker(&env).await;
    passes(&env).await;
    for verb in ["stop", "start", "restart"] {
        done(&env, &lives, verb).await;
    }
    let again = ann.create("third").await;
    wait_job(&env, &again.job, "succeeded").await;
    passes(&env).await;
    assert!(manifest.is_file() && env.data_dir.join(".identity").is_file());
    let note = format!(".quarantine/{gone}/files/workspace/note.txt");
    assert_eq!(std::fs::read_to_string(env.data_dir.join(note)).unwrap(), "mine");

    // This release again: instances of the previous worker get a manifest, and nothing is lost.
    retire(&env).await;
    env.add_worker(&worker(Program::Worker, FakeMode::Ok)).await;
    let back = ann.post_empty(&format!("/api/instances/{gone}/undelete")).await.accepted();
    wait_job(&env, &back.job, "succeeded").await;
    let manifest = env.data_dir.join(&again.instance).join("instance.json");
    env.wait_for("the manifest", SOON, async || manifest.is_file().then_some(())).await;
    env.finish().await;
}

/// The previous API, started last, neither revokes privileges nor breaks what it does not know.
#[tokio::test]
#[ignore = "needs the programs of the release before: scripts/test --compat"]
async fn apis_of_both_releases() {
    let env = TestEnv::builder().build().await;
    let id = kept(&env).await;
    let (ann, admin) = (env.user("ann").await, env.admin().await);
    let (previous, base) = env.start_api_of(Program::PreviousApi, 1, &[]);
    let up = async || previous.log().contains("Serving").then_some(());
    env.wait_for("the other API", SOON, up).await;
    assert_eq!(ann.get("/api/instances/deleted").await.expect(200).json["items"][0]["id"], id.as_str());
    let back = ann.post_empty(&format!("/api/instances/{id}/undelete")).await.accepted();
    let (ann_there, admin_there) = (ann.at(&base), admin.at(&base));
    // It fails on a job of a kind that it does not know. That release can no longer be changed.
    assert_eq!(ann_there.get("/api/instances").await.brief(), "500 internal_error");
    let lost = [
        format!("/api/instances/{id}"),
        format!("/api/instances/{id}/jobs"),
        "/api/admin/jobs".into(),
        "/api/admin/queues".into(),
    ];
    for path in lost {
        assert_eq!(admin_there.get(&path).await.brief(), "500 internal_error", "{path}");
    }
    env.add_worker(&worker(Program::Worker, FakeMode::Ok)).await;
    wait_job(&env, &back.job, "succeeded").await;
    assert_ne!(ann.instance(&id).await["gatewayToken"], Value::Null);
    // When that job is done, it shows the instance like any other.
    assert_eq!(ann_there.get("/api/instances").await.expect(200).json["items"][0]["id"], id.as_str());
    assert_eq!(ann_there.instance(&id).await["name"], "first");
    admin_there.get("/api/admin/instances").await.expect(200);
    previous.terminate().await;
    env.finish().await;
}
