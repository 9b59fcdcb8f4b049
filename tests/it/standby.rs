//! A worker whose database, data directory and Docker engine do not belong together stands by, and says why.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use clawdeploy_tests::{
    TestEnv, WorkerOptions,
    docker_proxy::{Action, DockerProxy},
    programs::Program,
};
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::support::{SOON, deleted, instance, job, running, wait_job};

/// `clawdeploy-worker adopt`, with the installation's settings and these in addition.
async fn adopt(env: &TestEnv, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(Program::PlainWorker.path());
    command.arg("adopt").args(arguments).env_clear().envs(env.settings().iter().cloned());
    command.envs(settings.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(30), command.output()).await.expect("its end").unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Waits until the live workers stand by for exactly these reasons; returns the live workers.
async fn wait_standby(env: &TestEnv, codes: &[&str]) -> Vec<Value> {
    let admin = env.admin().await;
    let so = async || {
        let mut workers = admin.get("/api/admin/workers").await.expect(200).json["items"].as_array()?.clone();
        workers.retain(|worker| worker["alive"] == true);
        let mut found: Vec<_> = workers.iter().filter_map(|worker| worker["standby"]["code"].as_str()).collect();
        found.sort_unstable();
        let ready = env.anon().get("/readyz").await.expect(200).json;
        let status = if codes.is_empty() { "ok" } else { "degraded" };
        let told = ready["workers"]["standby"] == codes.len() && ready["status"] == status;
        (found == codes && told).then(|| workers.clone())
    };
    env.wait_for(&format!("workers that stand by: {codes:?}"), SOON, so).await
}

async fn identity(env: &TestEnv) -> Vec<Value> {
    env.rows("SELECT id, data_dir, engine FROM installation").await
}

fn mark(env: &TestEnv) -> String {
    std::fs::read_to_string(env.data_dir.join(".identity")).unwrap()
}

/// A lost volume or a mistyped URL: the database is empty, but the directory has instances.
#[tokio::test]
async fn a_directory_of_others_is_left_alone_until_it_is_adopted() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    // The sweep `snapshots` does not wait, so the first pass would remove this.
    let kept = env.data_dir.join(".snapshots").join(&made.instance).join(Uuid::now_v7().to_string());
    std::fs::create_dir_all(&kept).unwrap();
    env.worker(0).terminate().await;

    let builder = TestEnv::builder().workers(0).data_dir(&env.data_dir).set("CLAWDEPLOY_RECONCILE_SECONDS", "1");
    let other = builder.build().await;
    let worker = other.start_worker(&WorkerOptions::default());
    let settled = "SELECT 1 AS one FROM workers WHERE standby_code IS NOT NULL UNION SELECT 1 FROM sweeps WHERE name = 'snapshots' AND ran_at IS NOT NULL";
    let so = async || (!other.rows(settled).await.is_empty()).then_some(());
    other.wait_for("a verdict, or a sweep", SOON, so).await;
    assert!(kept.exists(), "a sweep removed files of another database");
    let workers = wait_standby(&other, &["wrong_database"]).await;
    let message = workers[0]["standby"]["message"].as_str().unwrap();
    let command = format!("clawdeploy-worker adopt --data-dir {}", env.data_dir.display());
    assert!(message.contains(&command), "{message}");
    assert!(worker.log().contains("This worker stands by") && worker.log().contains(&command));
    assert!(!worker.log().contains("Worker is ready"));
    let admin = other.admin().await;
    assert_eq!(admin.post_empty("/api/admin/reconcile").await.brief(), "503 no_worker");

    let before = (mark(&env), identity(&other).await);
    let asked = adopt(&other, &[], &[]).await;
    assert!(!asked.status.success() && text(&asked).contains("nothing was changed"), "{}", text(&asked));
    assert!(text(&asked).contains(&format!("1 of them not in the database: {}", made.instance)), "{}", text(&asked));
    assert_eq!((mark(&env), identity(&other).await), before);
    let adopted = adopt(&other, &["--yes"], &[]).await;
    assert!(adopted.status.success(), "{}", text(&adopted));
    wait_standby(&other, &[]).await;
    running(&other, "second").await;

    // Now the workers of the first installation do not belong to it.
    worker.terminate().await;
    env.start_worker(&WorkerOptions::default());
    wait_standby(&env, &["wrong_database"]).await;
    drop(other);
    assert!(adopt(&env, &["--yes"], &[]).await.status.success());
    wait_standby(&env, &[]).await;
    let again = adopt(&env, &[], &[]).await;
    assert!(again.status.success() && text(&again).contains("already belong together"), "{}", text(&again));
    deleted(&env, &made.instance).await;
}

/// Such a worker would find no files and no container, and report the instance as deleted.
#[tokio::test]
async fn a_second_worker_with_another_directory_or_engine_takes_no_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let engine = DockerProxy::new(dir.path());
    engine.fault("GET", "/info", Action::OtherEngine, 0);
    let env = TestEnv::builder().workers(2).set("CLAWDEPLOY_RECONCILE_SECONDS", "1").build().await;
    assert_eq!(identity(&env).await.len(), 1, "workers that start at once must agree");
    let made = running(&env, "first").await;
    let elsewhere = dir.path().join("data").display().to_string();
    env.start_worker(&WorkerOptions::default().set("CLAWDEPLOY_DATA_DIR", &elsewhere));
    env.start_worker(&WorkerOptions::default().set("CLAWDEPLOY_DOCKER_HOST", &engine.host()));
    wait_standby(&env, &["wrong_data_dir", "wrong_engine"]).await;
    for ours in 0..2 {
        env.worker(ours).terminate().await;
    }
    let ann = env.user("ann").await;
    let asked = ann.remove(&made.instance).await;
    let waits = async || {
        let shown = ann.get(&format!("/api/jobs/{}", asked.job)).await.expect(200).json;
        assert_eq!(shown["status"], "queued", "{shown}");
        (shown["queue"]["waitsFor"] == "worker" && shown["queue"]["workers"] == 0).then_some(())
    };
    env.wait_for("nobody who takes the job", SOON, waits).await;
    // Now it is the right engine.
    engine.heal();
    wait_job(&env, &asked.job, "succeeded").await;
    env.assert_nothing_left_of(&made.instance).await;
    wait_standby(&env, &["wrong_data_dir"]).await;
    assert_eq!(job(&env, &asked.job).await["attempt"], 1);
    env.finish().await;
}

/// An unmounted disk, a replaced directory or a replaced database is noticed at runtime.
#[tokio::test]
async fn what_is_replaced_during_a_life_is_noticed() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let (file, aside) = (env.data_dir.join(".identity"), env.scratch().join("aside"));
    std::fs::rename(&file, &aside).unwrap();
    wait_standby(&env, &["wrong_data_dir"]).await;
    std::fs::rename(&aside, &file).unwrap();
    wait_standby(&env, &[]).await;

    std::fs::rename(&env.data_dir, &aside).unwrap();
    std::fs::create_dir(&env.data_dir).unwrap();
    wait_standby(&env, &["wrong_data_dir"]).await;
    let ann = env.user("ann").await;
    let asked = ann.act(&made.instance, "restart").await;
    std::fs::rename(&env.data_dir, env.scratch().join("empty")).unwrap();
    wait_standby(&env, &["data_dir_unreadable"]).await;
    std::fs::rename(&aside, &env.data_dir).unwrap();
    wait_job(&env, &asked.job, "succeeded").await;

    env.execute("UPDATE installation SET id = gen_random_uuid()").await;
    // The claim notices it before the regular check.
    let late = ann.create("second").await;
    wait_standby(&env, &["wrong_database"]).await;
    assert_eq!(job(&env, &late.job).await["attempt"], 0);
    assert_eq!(instance(&env, &late.instance).await["status"], "pending");
    assert!(adopt(&env, &["--yes"], &[]).await.status.success());
    wait_job(&env, &late.job, "succeeded").await;
    env.finish().await;
}

/// An engine that does not answer is not a wrong one.
#[tokio::test]
async fn an_engine_that_is_down_at_the_start_is_bound_when_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let engine = DockerProxy::new(dir.path());
    engine.shut();
    let env = TestEnv::builder().set("CLAWDEPLOY_DOCKER_HOST", &engine.host()).build().await;
    assert_eq!(identity(&env).await[0]["engine"], Value::Null);
    let asked = adopt(&env, &["--yes"], &[]).await;
    assert!(!asked.status.success(), "{}", text(&asked));
    engine.open();
    let bound = async || (identity(&env).await[0]["engine"] != json!(null)).then_some(());
    env.wait_for("the engine's id", SOON, bound).await;
    wait_standby(&env, &[]).await;
    env.finish().await;
}
