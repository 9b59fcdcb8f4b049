//! The life of an instance, with the API of one release and the worker of the other.

use clawdeploy_tests::{FakeMode, TestEnv, WorkerOptions, docker, programs::Program};
use serde_json::{Value, json};

use super::mixed::reconciled;
use crate::{
    support::{deleted, done, http, instance, port, running, wait_job},
    update::support::{assert_as_before, image_id, look, retire, updated, write_state},
};

/// A worker of a release, with this image as the current one.
pub(super) fn worker(program: Program, image: FakeMode) -> WorkerOptions {
    let options = WorkerOptions { program, ..WorkerOptions::default() };
    options.set("CLAWDEPLOY_IMAGE", &image.image())
}

async fn life(api: Program, program: Program) -> (TestEnv, String) {
    let env = TestEnv::builder().api(api).workers(0).build().await;
    let ann = env.user("ann").await;
    env.add_worker(&worker(program, FakeMode::Ok)).await;
    let id = running(&env, "first").await.instance;
    let note = env.data_dir.join(&id).join("workspace/note.txt");
    tokio::fs::write(&note, "mine").await.unwrap();
    for (verb, status) in [("stop", "stopped"), ("start", "running"), ("restart", "running")] {
        done(&env, &id, verb).await;
        assert_eq!(ann.instance(&id).await["status"], status, "after {verb}");
    }
    assert_eq!(http(port(&env, &id).await, "/readyz").await.map(|(status, _)| status), Some(200));

    let key = "sk-ant-0123456789abcdef0123456789";
    let settings = json!({ "memoryMb": 3072, "aiProvider": "anthropic", "apiKey": key, "applyNow": true });
    let asked = ann.patch(&format!("/api/instances/{id}"), &settings).await.accepted();
    wait_job(&env, &asked.job, "succeeded").await;
    let row = instance(&env, &id).await;
    assert_eq!((&row["memory_mb"], &row["pending_settings"]), (&json!(3072), &Value::Null));
    let memory = docker::inspect(&format!("claw-{id}"), "{{.HostConfig.Memory}}").await;
    assert_eq!(memory.trim(), (3072_u64 << 20).to_string());

    write_state(&env, &id);
    let before = look(&env, &id).await;
    retire(&env).await;
    env.add_worker(&worker(program, FakeMode::Next)).await;
    updated(&env, &id).await;
    assert_eq!(instance(&env, &id).await["image_id"], image_id(FakeMode::Next).await);
    tokio::fs::write(env.data_dir.join(&id).join("config/state/db"), "of another version").await.unwrap();
    done(&env, &id, "rollback").await;
    // Expire the snapshot of the rollback itself; [`assert_as_before`] expects none on the disk.
    env.execute("UPDATE snapshots SET expires_at = now() - interval '1 second'").await;
    match program {
        Program::PreviousWorker => drop(reconciled(&env.admin().await).await),
        _ => drop(env.admin().await.post_empty("/api/admin/reconcile").await.expect(200)),
    }
    assert_as_before(&env, &id, &before).await;
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "mine");

    deleted(&env, &id).await;
    (env, id)
}

#[tokio::test]
#[ignore = "needs the programs of the release before: scripts/test --compat"]
async fn the_previous_api_with_this_worker() {
    let (env, id) = life(Program::PreviousApi, Program::Worker).await;
    // The previous API cannot restore it, but this one can.
    assert!(env.data_dir.join(".quarantine").join(&id).is_dir());
    let (this, base) = env.start_api_of(Program::Api, 1, &[]);
    let ann = env.user("ann").await.at(&base);
    let up = async || this.log().contains("Serving").then_some(());
    env.wait_for("the other API", crate::support::SOON, up).await;
    let back = ann.post_empty(&format!("/api/instances/{id}/undelete")).await.accepted();
    wait_job(&env, &back.job, "succeeded").await;
    assert_eq!(ann.instance(&id).await["status"], "running");
    this.terminate().await;
    env.finish().await;
}

#[tokio::test]
#[ignore = "needs the programs of the release before: scripts/test --compat"]
async fn this_api_with_the_previous_worker() {
    let (env, id) = life(Program::Api, Program::PreviousWorker).await;
    // The previous worker keeps nothing of what it deletes, so nothing is offered.
    let listed = env.user("ann").await.get("/api/instances/deleted").await.expect(200).json;
    assert_eq!(listed["items"], json!([]));
    let back = env.user("ann").await.post_empty(&format!("/api/instances/{id}/undelete")).await;
    assert_eq!(back.brief(), "404 not_found");
    env.finish().await;
}
