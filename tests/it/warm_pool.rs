//! The warm pool on the engine: it is filled, taken from, renewed and emptied.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, TestEnv, WorkerOptions, docker, env::Builder};
use serde_json::{Value, json};

use crate::support::{http, instance, port, starts, story, wait_job};

/// A token of a bot in Telegram's form.
const BOT: &str = "123456789:canary-AAbbCCddEEffGGhhIIjjKKllMMnnOO";

const SOON: Duration = Duration::from_secs(30);

fn pool_of(size: &str) -> Builder {
    TestEnv::builder().set("CLAWDEPLOY_WARM_POOL", size).set("CLAWDEPLOY_RECONCILE_SECONDS", "0.5")
}

const READY: &str = "SELECT w.instance_id, i.container_id FROM warm_instances w JOIN instances i ON i.id = w.instance_id \
    WHERE i.owner_id IS NULL AND w.ready_at IS NOT NULL AND NOT EXISTS (SELECT FROM jobs j WHERE j.instance_id = i.id \
    AND j.status IN ('queued', 'running')) ORDER BY w.ready_at";

/// Waits until there are as many warm instances, and returns id and container of each.
async fn ready(env: &TestEnv, count: usize) -> Vec<(String, String)> {
    let look = async || {
        let rows = env.rows(READY).await;
        (rows.len() == count).then_some(rows)
    };
    let rows = env.wait_for(&format!("{count} warm instances"), SOON, look).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(&row["instance_id"]), text(&row["container_id"]))).collect()
}

async fn networks_of(container: &str) -> Vec<String> {
    let format = "{{range $name, $network := .NetworkSettings.Networks}}{{$name}} {{end}}";
    docker::inspect(container, format).await.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_creation_takes_one_that_has_booted_and_the_pool_is_filled_again() {
    let env = pool_of("1").build().await;
    let (id, container) = ready(&env, 1).await.remove(0);
    assert_eq!(docker::inspect(&container, "{{.State.Status}}").await, "paused");
    let [secluded] = &networks_of(&container).await[..] else { panic!("it is in one network") };
    assert!(secluded.starts_with("clawdeploy-warm-"), "{secluded}");
    assert_eq!(docker::docker(&["network", "inspect", secluded, "--format", "{{.Internal}}"]).await.trim(), "true");
    let held = port(&env, &id).await;
    assert_eq!(http(held, "/readyz").await, None, "nothing reaches it");

    let ann = env.user("ann").await;
    let made = ann.create_with(&json!({ "name": "first", "channel": "telegram", "botToken": BOT })).await;
    assert_eq!(made.instance, id);
    wait_job(&env, &made.job, "succeeded").await;
    let row = instance(&env, &id).await;
    assert_eq!((&row["status"], &row["container_id"]), (&json!("running"), &json!(container)));
    assert_eq!(networks_of(&container).await, [format!("claw-{id}")]);
    assert_eq!(
        docker::inspect(&container, "{{.State.Status}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}}").await,
        "running 1000000000 1024"
    );
    assert_eq!(http(held, "/readyz").await.map(|(status, _)| status), Some(200));
    assert_eq!(starts(&env, &id), 1, "it has not booted again");
    let config = tokio::fs::read_to_string(env.data_dir.join(&id).join("config/openclaw.json")).await.unwrap();
    assert!(config.contains("telegram"), "{config}");
    let manifest = env.data_dir.join(&id).join("instance.json");
    assert!(tokio::fs::try_exists(&manifest).await.unwrap(), "{}", manifest.display());
    let steps: Vec<_> =
        story(&env, &made.job).await.into_iter().filter(|entry| entry.starts_with("step_done")).collect();
    assert_eq!(steps.len(), 9, "its job is that of any creation: {steps:?}");

    let (next, _) = ready(&env, 1).await.remove(0);
    assert_ne!(next, id);
    // Its owner stops, starts and deletes it like any other.
    for verb in ["stop", "start"] {
        wait_job(&env, &ann.act(&id, verb).await.job, "succeeded").await;
    }
    assert_eq!(http(held, "/readyz").await.map(|(status, _)| status), Some(200));
    wait_job(&env, &ann.remove(&id).await.job, "succeeded").await;
    env.finish().await;
}

/// What has to be read at a boot leaves the pool alone, and so does another memory limit.
#[tokio::test]
async fn what_has_to_boot_leaves_the_pool_alone() {
    let env = pool_of("1").build().await;
    let (id, _) = ready(&env, 1).await.remove(0);
    let ann = env.user("ann").await;
    let key = "sk-ant-canary-of-the-model-key-0123456789";
    let with_key = ann.create_with(&json!({ "name": "first", "aiProvider": "anthropic", "apiKey": key })).await;
    let larger = ann.create_with(&json!({ "name": "larger", "memoryMb": 3072 })).await;
    for made in [&with_key, &larger] {
        assert_ne!(made.instance, id);
        wait_job(&env, &made.job, "succeeded").await;
    }
    assert_eq!(ready(&env, 1).await[0].0, id);
    env.finish().await;
}

/// A creation that was cancelled before a worker had it keeps its warm gateway for the next start, with its settings.
#[tokio::test]
async fn a_cancelled_creation_is_completed_by_the_next_start() {
    let env = pool_of("1").workers(0).build().await;
    let filler = env.add_worker(&WorkerOptions::default()).await;
    let (id, container) = ready(&env, 1).await.remove(0);
    filler.terminate().await;
    let ann = env.user("ann").await;
    let body = json!({ "name": "first", "channel": "telegram", "botToken": BOT });
    let made = ann.create_with(&body).await;
    assert_eq!(made.instance, id);
    ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    assert_eq!(instance(&env, &id).await["status"], "error");
    let start = ann.act(&id, "start").await;
    env.add_worker(&WorkerOptions::default().set("CLAWDEPLOY_WARM_POOL", "0")).await;
    wait_job(&env, &start.job, "succeeded").await;
    assert_eq!(networks_of(&container).await, [format!("claw-{id}")]);
    let config = tokio::fs::read_to_string(env.data_dir.join(&id).join("config/openclaw.json")).await.unwrap();
    assert!(config.contains("telegram"), "{config}");
    assert_eq!(http(port(&env, &id).await, "/readyz").await.map(|(status, _)| status), Some(200));
    assert_eq!(env.rows("SELECT * FROM warm_instances").await, Vec::<Value>::new(), "its owner has it");
    env.finish().await;
}

/// Another program has the port, which nobody notices until the gateway gets its own network.
#[tokio::test]
async fn a_port_that_is_taken_meanwhile_is_given_up() {
    let env = pool_of("1").workers(0).build().await;
    let filler = env.add_worker(&WorkerOptions::default()).await;
    let (id, _) = ready(&env, 1).await.remove(0);
    filler.terminate().await;
    let before = port(&env, &id).await;
    let stranger = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, before)).await.unwrap();
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    assert_eq!(made.instance, id);
    env.add_worker(&WorkerOptions::default().set("CLAWDEPLOY_WARM_POOL", "0")).await;
    wait_job(&env, &made.job, "succeeded").await;
    drop(stranger);
    let now = port(&env, &id).await;
    assert_ne!(now, before);
    assert_eq!(http(now, "/readyz").await.map(|(status, _)| status), Some(200));
    env.finish().await;
}

/// The database was restored from a dump in which the instance was still warm. Its files say whose it is.
#[tokio::test]
async fn a_database_of_before_it_was_taken_harms_nobody() {
    let env = pool_of("1").build().await;
    let (id, container) = ready(&env, 1).await.remove(0);
    let (ann, bob) = (env.user("ann").await, env.user("bob").await);
    let made = ann.create("first").await;
    assert_eq!(made.instance, id);
    wait_job(&env, &made.job, "succeeded").await;
    ready(&env, 1).await;
    for worker in env.workers() {
        worker.terminate().await;
    }
    let owner = instance(&env, &id).await["owner_id"].as_str().unwrap().to_owned();
    let forget = format!(
        "WITH warm AS (INSERT INTO warm_instances (instance_id, warmed_by, ready_at) \
           VALUES ('{id}', gen_random_uuid(), now() - interval '1 hour') \
           ON CONFLICT (instance_id) DO UPDATE SET ready_at = excluded.ready_at, taken_at = NULL RETURNING instance_id) \
         UPDATE instances SET owner_id = NULL, status = 'pending' FROM warm WHERE id = instance_id"
    );
    env.execute(&forget).await;
    // Somebody else gets it, the oldest one.
    let other = bob.create("second").await;
    assert_eq!(other.instance, id);
    let worker = env.add_worker(&WorkerOptions::default()).await;
    wait_job(&env, &other.job, "failed").await;
    // Its gateway runs, but is not the new owner's.
    env.admin().await.post_empty("/api/admin/reconcile").await.expect(200);
    let failed = instance(&env, &id).await;
    assert_eq!((&failed["status"], &failed["error_code"]), (&"error".into(), &"instance_taken".into()));
    worker.terminate().await;
    // Nor does the pool remove it, although its container is not frozen.
    env.execute(&forget).await;
    env.add_worker(&WorkerOptions::default()).await;
    let refused = async || {
        let sql = format!(
            "SELECT error_code FROM jobs WHERE instance_id = '{id}' AND kind = 'discard' AND status = 'failed'"
        );
        env.rows(&sql).await.pop()
    };
    let refused = env.wait_for("the pool to be refused", SOON, refused).await;
    assert_eq!(refused["error_code"], "instance_taken");
    assert_eq!(docker::inspect(&container, "{{.State.Status}}").await, "running");
    assert!(env.data_dir.join(&id).join("config/openclaw.json").exists());
    for worker in env.workers() {
        worker.terminate().await;
    }
    env.execute(&format!("DELETE FROM warm_instances WHERE instance_id = '{id}'; ")).await;
    env.execute(&format!("UPDATE instances SET owner_id = '{owner}', status = 'running' WHERE id = '{id}'")).await;
    env.finish().await;
}

/// Somebody removes the container, or the gateway hangs once it is thawed: the creation boots another one.
#[tokio::test]
async fn a_warm_gateway_that_is_gone_or_silent_is_replaced_by_the_creation() {
    let env = pool_of("2").workers(0).build().await;
    let filler = env.add_worker(&WorkerOptions::default()).await;
    let warm = ready(&env, 2).await;
    filler.terminate().await;
    docker::docker(&["rm", "--force", &warm[0].1]).await;
    // Ends the gateway for good as soon as it is thawed.
    docker::docker(&["kill", "--signal", "KILL", &warm[1].1]).await;
    let ann = env.user("ann").await;
    let (first, second) = (ann.create("first").await, ann.create("second").await);
    assert_eq!([&first.instance, &second.instance], [&warm[0].0, &warm[1].0]);
    let options = WorkerOptions::default().set("CLAWDEPLOY_WARM_POOL", "0");
    env.add_worker(&options).await;
    for made in [&first, &second] {
        wait_job(&env, &made.job, "succeeded").await;
        assert_eq!(http(port(&env, &made.instance).await, "/readyz").await.map(|(status, _)| status), Some(200));
        let container = instance(&env, &made.instance).await["container_id"].as_str().unwrap().to_owned();
        assert_eq!(networks_of(&container).await, [format!("claw-{}", made.instance)]);
    }
    env.finish().await;
}

#[tokio::test]
async fn what_is_of_no_use_leaves_without_a_trace() {
    let env = pool_of("2").build().await;
    let before = ready(&env, 2).await;
    // One was thawed by somebody, the other is too old.
    docker::docker(&["unpause", &before[0].1]).await;
    env.execute(&format!(
        "UPDATE warm_instances SET ready_at = now() - interval '25 hours' WHERE instance_id = '{}'",
        before[1].0
    ))
    .await;
    let renewed = async || {
        let rows = env.rows(READY).await;
        let known = |row: &Value| before.iter().any(|(id, _)| row["instance_id"] == id.as_str());
        (rows.len() == 2 && !rows.iter().any(known)).then_some(())
    };
    env.wait_for("others in their place", SOON, renewed).await;
    for (id, _) in &before {
        let gone =
            async || env.rows(&format!("SELECT id FROM instances WHERE id = '{id}'")).await.is_empty().then_some(());
        env.wait_for("it to leave", SOON, gone).await;
        env.assert_nothing_left_of(id).await;
    }
    let kept = env.rows("SELECT id FROM recoverable_instances").await;
    assert_eq!(kept, Vec::<Value>::new(), "nobody wants them back");
    env.finish().await;
}

/// The pool makes way: nothing of it counts when an instance is admitted, and it shrinks when there is no room left.
#[tokio::test]
async fn instances_go_before_the_pool() {
    // Two instances of 2 GiB, whatever the machine has.
    let total = docker::docker(&["info", "--format", "{{.MemTotal}}"]).await.trim().parse::<u64>().unwrap() >> 20;
    let env = pool_of("2")
        .set("CLAWDEPLOY_MEMORY_OVERCOMMIT", "1")
        .set("CLAWDEPLOY_RESERVED_MEMORY_MB", &(total - 4097).to_string())
        .build()
        .await;
    ready(&env, 2).await;
    let ann = env.user("ann").await;
    for (name, left) in [("first", 1), ("second", 0)] {
        let made = ann.create(name).await;
        wait_job(&env, &made.job, "succeeded").await;
        ready(&env, left).await;
    }
    let refused = ann.post("/api/instances", &json!({ "name": "third" })).await.expect(409);
    assert_eq!(refused.code(), "host_full");
    let pool = env.admin().await.get("/api/admin/capacity").await.expect(200).json["warmPool"].clone();
    assert_eq!((&pool["wanted"], &pool["taken"]), (&json!(0), &json!(2)));
    assert_eq!(pool["heldBack"], "no_memory");
    env.finish().await;
}

/// One that cannot be made leaves nothing, is told, and is not tried again at once.
#[tokio::test]
async fn one_that_cannot_be_made_leaves_nothing_and_is_told() {
    let env = pool_of("1").image(FakeMode::Exit78).build().await;
    let failed = async || {
        let pool = env.rows("SELECT held_back FROM warm_pool WHERE held_back = 'failed'").await;
        (!pool.is_empty()).then_some(())
    };
    env.wait_for("the failure to be told", SOON, failed).await;
    let jobs = env.rows("SELECT status, instance_id FROM jobs WHERE kind = 'warm_up'").await;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(jobs[0]["status"], "failed");
    env.assert_nothing_left_of(jobs[0]["instance_id"].as_str().unwrap()).await;
    assert_eq!(env.rows("SELECT id FROM instances").await, Vec::<Value>::new());
    env.finish().await;
}
