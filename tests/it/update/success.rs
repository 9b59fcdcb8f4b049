//! Updates that succeed.

use clawdeploy_tests::{FakeMode, TestEnv};
use serde_json::{Value, json};

use super::{
    faults::STEPS,
    support::{image_id, look, snapshots_on_disk, update, updated, with_newer, write_state},
};
use crate::support::{deleted, done, http, instance, running, starts, story, wait_job};

#[tokio::test]
async fn a_running_instance() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    write_state(&env, &made.instance);
    let note = env.data_dir.join(&made.instance).join("workspace/note.txt");
    tokio::fs::write(&note, "mine").await.unwrap();
    let before = look(&env, &made.instance).await;
    with_newer(&env, FakeMode::Next).await;

    let asked = update(&env, &made.instance).await;
    wait_job(&env, &asked.job, "succeeded").await;
    let after = look(&env, &made.instance).await;
    assert_eq!(after.row["image_id"], image_id(FakeMode::Next).await);
    assert_eq!(after.row["openclaw_version"], FakeMode::Next.version());
    assert_ne!(after.row["container_id"], before.row["container_id"]);
    assert_eq!((after.port, &after.tree), (before.port, &before.tree));
    assert_eq!(after.row["gateway_token_sealed"], before.row["gateway_token_sealed"]);
    assert_eq!((&after.row["status"], starts(&env, &made.instance)), (&json!("running"), 2));
    assert_eq!(http(after.port, "/readyz").await.map(|(status, _)| status), Some(200));
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "mine");
    assert_eq!(env.world().await.containers_of(&made.instance).len(), 1);

    let kept = env.row(&format!("SELECT * FROM snapshots WHERE job_id = '{}'", asked.job)).await;
    assert_eq!((&kept["status"], &kept["was_running"]), (&json!("kept"), &json!(true)));
    assert!(kept["down_ms"].as_i64().unwrap() > 0 && kept["bytes"].as_i64().unwrap() > 0, "{kept}");
    assert_eq!(snapshots_on_disk(&env, &made.instance), [kept["id"].as_str().unwrap()]);
    let steps: Vec<_> = story(&env, &asked.job).await.into_iter().filter(|e| e.starts_with("step_done")).collect();
    assert_eq!(steps, STEPS.map(|name| format!("step_done {name}")));
    deleted(&env, &made.instance).await;
    assert_eq!(snapshots_on_disk(&env, &made.instance), Vec::<String>::new());
    env.finish().await;
}

#[tokio::test]
async fn a_stopped_instance_is_left_stopped() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    done(&env, &made.instance, "stop").await;
    with_newer(&env, FakeMode::Next).await;
    updated(&env, &made.instance).await;
    let row = instance(&env, &made.instance).await;
    assert_eq!((&row["status"], &row["image_id"]), (&json!("stopped"), &json!(image_id(FakeMode::Next).await)));
    assert_eq!(starts(&env, &made.instance), 1);
    done(&env, &made.instance, "start").await;
    assert_eq!(instance(&env, &made.instance).await["image_id"], image_id(FakeMode::Next).await);
    assert_eq!(starts(&env, &made.instance), 2);
    env.finish().await;
}

#[tokio::test]
async fn one_that_is_up_to_date_is_left_alone() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let before = look(&env, &made.instance).await;
    let job = updated(&env, &made.instance).await;
    assert_eq!(job["step"], "prepare_change");
    let after = look(&env, &made.instance).await;
    assert_eq!(after.row["container_id"], before.row["container_id"]);
    assert_eq!((&after.row["status"], starts(&env, &made.instance)), (&json!("running"), 1));
    assert_eq!(env.rows("SELECT id FROM snapshots").await, Vec::<Value>::new());
    env.finish().await;
}

#[tokio::test]
async fn changed_settings_are_applied_in_the_same_way() {
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let made = running(&env, "first").await;
    let env_file = env.data_dir.join(&made.instance).join("config/.env");
    let mine = format!("{}MINE=1\n", std::fs::read_to_string(&env_file).unwrap());
    tokio::fs::write(&env_file, mine).await.unwrap();
    let body = json!({
        "memoryMb": 3072, "aiProvider": "anthropic", "apiKey": "sk-ant-0123456789abcdef0123456789", "applyNow": true,
    });
    let asked = ann.patch(&format!("/api/instances/{}", made.instance), &body).await.accepted();
    wait_job(&env, &asked.job, "succeeded").await;
    let row = instance(&env, &made.instance).await;
    assert_eq!((&row["memory_mb"], &row["ai_provider"]), (&json!(3072), &json!("anthropic")));
    assert_eq!((&row["pending_settings"], &row["status"]), (&Value::Null, &json!("running")));
    let format = "{{.HostConfig.Memory}}";
    let memory = clawdeploy_tests::docker::inspect(&format!("claw-{}", made.instance), format).await;
    assert_eq!(memory.trim(), (3072_u64 << 20).to_string());
    let text = std::fs::read_to_string(&env_file).unwrap();
    assert!(text.contains("MINE=1\n") && text.contains("ANTHROPIC_API_KEY=\"sk-ant-"), "{text}");
    let config = crate::support::config_file(&env, &made.instance, "openclaw.json");
    assert!(config.contains("anthropic/"), "{config}");
    env.finish().await;
}
