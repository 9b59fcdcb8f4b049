//! The life of an instance, from creation to deletion.

use clawdeploy_tests::{TestEnv, docker};
use serde_json::{Value, json};

use crate::support::{deleted, done, http, instance, listens, port, running, starts, story, wait_job};

#[tokio::test]
async fn create_brings_a_gateway_up() {
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    assert_eq!(made.answer.header("location"), Some(format!("/api/jobs/{}", made.job).as_str()));
    assert_eq!(made.answer.json["instance"]["status"], "pending");
    let job = wait_job(&env, &made.job, "succeeded").await;
    assert_eq!((&job["attempt"], &job["progress"]), (&json!(1), &json!(100)));

    let shown = ann.instance(&made.instance).await;
    let port = port(&env, &made.instance).await;
    assert_eq!((&shown["status"], &shown["desiredState"]), (&json!("running"), &json!("running")));
    assert_eq!(shown["port"], port);
    assert_eq!(shown["dashboardUrl"], format!("http://127.0.0.1:{port}/"));
    assert_eq!(shown["gatewayToken"].as_str().unwrap().len(), 64);
    assert_eq!(http(port, "/").await.map(|(status, _)| status), Some(200));
    assert_eq!(starts(&env, &made.instance), 1);

    let steps: Vec<_> =
        story(&env, &made.job).await.into_iter().filter(|entry| entry.starts_with("step_done")).collect();
    let names = [
        "find_image",
        "reserve_port",
        "create_directories",
        "write_config",
        "create_network",
        "create_container",
        "start_container",
        "wait_until_ready",
        "route",
    ];
    assert_eq!(steps, names.map(|name| format!("step_done {name}")));
    env.finish().await;
}

#[tokio::test]
async fn the_gateway_listens_on_loopback_only() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let container = format!("claw-{}", made.instance);
    let bindings = docker::inspect(&container, "{{json .NetworkSettings.Ports}}").await;
    let bindings: Value = serde_json::from_str(&bindings).unwrap();
    let port = port(&env, &made.instance).await.to_string();
    assert_eq!(bindings, json!({ "18789/tcp": [{ "HostIp": "127.0.0.1", "HostPort": port }] }));
    env.finish().await;
}

#[tokio::test]
async fn what_the_owner_has_survives_stop_and_start() {
    let env = TestEnv::builder().build().await;
    let ann = env.user("ann").await;
    let made = running(&env, "first").await;
    let before = ann.instance(&made.instance).await;
    let port = port(&env, &made.instance).await;
    let note = env.data_dir.join(&made.instance).join("workspace/note.txt");
    tokio::fs::write(&note, "mine").await.unwrap();

    done(&env, &made.instance, "stop").await;
    assert!(!listens(port).await, "a stopped instance still listens");
    let stopped = ann.instance(&made.instance).await;
    assert_eq!((&stopped["status"], &stopped["desiredState"]), (&json!("stopped"), &json!("stopped")));
    assert_eq!(stopped["port"], before["port"]);
    assert_eq!((&stopped["dashboardUrl"], &stopped["gatewayToken"]), (&Value::Null, &Value::Null));

    done(&env, &made.instance, "start").await;
    let after = ann.instance(&made.instance).await;
    for same in ["port", "gatewayToken", "dashboardUrl", "status", "createdAt"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(tokio::fs::read_to_string(&note).await.unwrap(), "mine");
    assert_eq!(http(port, "/readyz").await.map(|(status, _)| status), Some(200));
    assert_eq!(starts(&env, &made.instance), 2);
    env.finish().await;
}

#[tokio::test]
async fn restart_stops_and_starts_once() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let (port_before, container) = (port(&env, &made.instance).await, instance(&env, &made.instance).await);
    done(&env, &made.instance, "restart").await;
    let after = instance(&env, &made.instance).await;
    assert_eq!((&after["status"], &after["container_id"]), (&json!("running"), &container["container_id"]));
    assert_eq!(port(&env, &made.instance).await, port_before);
    assert_eq!(starts(&env, &made.instance), 2);
    env.finish().await;
}

#[tokio::test]
async fn delete_leaves_the_audit_and_the_jobs() {
    let env = TestEnv::builder().build().await;
    let (made, other) = (running(&env, "first").await, running(&env, "neighbour").await);
    let port_of_it = port(&env, &made.instance).await;
    deleted(&env, &made.instance).await;
    assert!(!listens(port_of_it).await);

    let sql = format!("SELECT action FROM audit WHERE target_id = '{}' ORDER BY id", made.instance);
    let actions: Vec<_> = env.rows(&sql).await.into_iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["instance.create", "instance.delete"]);
    let sql = format!("SELECT kind FROM jobs WHERE instance_id = '{}' ORDER BY seq", made.instance);
    let kinds: Vec<_> = env.rows(&sql).await.into_iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(kinds, ["provision", "delete"]);

    // The neighbour is not affected.
    let port = port(&env, &other.instance).await;
    assert_eq!(http(port, "/readyz").await.map(|(status, _)| status), Some(200));
    assert_eq!(starts(&env, &other.instance), 1);
    env.finish().await;
}

#[tokio::test]
async fn a_stopped_instance_can_be_deleted() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    done(&env, &made.instance, "stop").await;
    deleted(&env, &made.instance).await;
    env.finish().await;
}

/// A start creates again what is missing on the host.
#[tokio::test]
async fn start_makes_what_is_missing() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    done(&env, &made.instance, "stop").await;
    let container = format!("claw-{}", made.instance);
    docker::docker(&["rm", &container]).await;
    docker::docker(&["network", "rm", &container]).await;
    done(&env, &made.instance, "start").await;
    let port = port(&env, &made.instance).await;
    assert_eq!(http(port, "/readyz").await.map(|(status, _)| status), Some(200));
    env.finish().await;
}

/// Many jobs at once on several workers do not interfere.
#[tokio::test]
async fn many_instances_on_two_workers() {
    let env = TestEnv::builder().workers(2).build().await;
    let ann = env.user("ann").await;
    let mut made = Vec::new();
    for n in 0..8 {
        made.push(ann.create(&format!("number {n}")).await);
    }
    for accepted in &made {
        wait_job(&env, &accepted.job, "succeeded").await;
    }
    let mut ports = Vec::new();
    for accepted in &made {
        ports.push(port(&env, &accepted.instance).await);
        assert_eq!(starts(&env, &accepted.instance), 1);
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), made.len());

    let mut jobs = Vec::new();
    for accepted in &made {
        jobs.push(ann.remove(&accepted.instance).await.job);
    }
    for job in jobs {
        wait_job(&env, &job, "succeeded").await;
    }
    let world = env.world().await;
    assert!(world.containers.is_empty() && world.networks.is_empty() && world.directories.is_empty(), "{world:?}");
    env.finish().await;
}
