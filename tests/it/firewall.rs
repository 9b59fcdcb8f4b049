//! The check of the instances' firewall: an open firewall is reported everywhere until it is closed.

use std::time::Duration;

use clawdeploy_tests::{Client, TestEnv, docker, firewall::Firewall};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_mins(1);

async fn state(admin: &Client) -> Value {
    admin.get("/api/admin/firewall").await.expect(200).json
}

async fn wait_state(env: &TestEnv, admin: &Client, wanted: &str) -> Value {
    let so = async || Some(state(admin).await).filter(|now| now["state"] == wanted);
    env.wait_for(&format!("the firewall to be {wanted}"), SOON, so).await
}

/// Latest findings of the sweep.
async fn findings(env: &TestEnv) -> Value {
    env.row("SELECT findings FROM sweeps WHERE name = 'firewall'").await["findings"].clone()
}

async fn ready(env: &TestEnv) -> (Value, Value) {
    let ready = env.anon().get("/readyz").await.expect(200).json;
    (ready["status"].clone(), ready["firewall"].clone())
}

#[tokio::test]
async fn an_open_firewall_is_an_alarm_until_it_is_closed() {
    let env = TestEnv::builder()
        .set("CLAWDEPLOY_FIREWALL", "on")
        .set("CLAWDEPLOY_FIREWALL_SECONDS", "0.5")
        .set("CLAWDEPLOY_RECONCILE_SECONDS", "0.5")
        .build()
        .await;
    let admin = env.admin().await;
    let firewall = Firewall::of(&env);

    let open = wait_state(&env, &admin, "open").await;
    let message = open["message"].as_str().unwrap();
    assert!(message.contains("Instances can reach this machine, other instances and private networks"), "{message}");
    assert!(message.contains("clawdeploy-firewall apply"), "{message}");
    assert_eq!(ready(&env).await, (json!("degraded"), json!("degraded")));
    let reported = async || {
        let found = findings(&env).await;
        (found[0]["code"] == "firewall_open" && found[0]["action"] == "reported").then_some(())
    };
    env.wait_for("the finding", SOON, reported).await;

    firewall.run("apply");
    let closed = wait_state(&env, &admin, "ok").await;
    assert_eq!(closed["message"], Value::Null);
    assert_eq!(ready(&env).await, (json!("ok"), json!("ok")));
    let nothing = async || (findings(&env).await == json!([])).then_some(());
    env.wait_for("nothing to be found", SOON, nothing).await;

    // Remove one of the two jumps to the chain, as a flush does.
    firewall.cut("DOCKER-USER");
    let open = wait_state(&env, &admin, "open").await;
    let message = open["message"].as_str().unwrap();
    assert!(message.contains("reach other instances and private networks"), "{message}");
    firewall.run("apply");
    wait_state(&env, &admin, "ok").await;
    firewall.cut("INPUT");
    let open = wait_state(&env, &admin, "open").await;
    assert!(open["message"].as_str().unwrap().contains("reach this machine. "), "{open}");

    // The sweep `orphans` leaves the probe's networks alone, and the next worker reuses them.
    let filter = format!("label=clawdeploy.deployment={}", env.name);
    let networks = async || docker::docker(&["network", "ls", "--quiet", "--filter", &filter]).await;
    let before = networks().await;
    assert_eq!(before.lines().count(), 2, "{before}");
    env.worker(0).kill().await;
    // The leftover of a worker that was killed before it started its probe.
    let left = docker::docker(&[
        "create",
        "--label",
        &format!("clawdeploy.deployment={}", env.name),
        "--label",
        "clawdeploy.probe=firewall",
        &env.image.reference(),
        "node",
    ])
    .await;
    firewall.run("apply");
    env.add_worker(&clawdeploy_tests::WorkerOptions::default()).await;
    wait_state(&env, &admin, "ok").await;
    assert_eq!(networks().await, before);
    assert!(!docker::exists(left.trim()).await, "the leftover is still there");
    env.finish().await;
}

#[tokio::test]
async fn what_cannot_be_tried_is_not_known_and_what_is_off_is_not_tried() {
    let env = TestEnv::builder()
        .image(clawdeploy_tests::env::Image::Named("clawdeploy-no-such-image:none".into()))
        .set("CLAWDEPLOY_FIREWALL", "on")
        .set("CLAWDEPLOY_RECONCILE_SECONDS", "0.5")
        .build()
        .await;
    let admin = env.admin().await;
    let looked = async || Some(state(&admin).await).filter(|now| now["checkedAt"] != Value::Null);
    let unknown = env.wait_for("a look", SOON, looked).await;
    assert_eq!(unknown["state"], "unknown");
    assert!(unknown["message"].as_str().unwrap().contains("no image clawdeploy-no-such-image:none"), "{unknown}");
    assert_eq!(ready(&env).await, (json!("ok"), json!("unknown")));

    env.worker(0).kill().await;
    let off = clawdeploy_tests::WorkerOptions::default().set("CLAWDEPLOY_FIREWALL", "off");
    env.add_worker(&off).await;
    wait_state(&env, &admin, "off").await;
    assert_eq!(findings(&env).await, json!([]));
    assert_eq!(ready(&env).await, (json!("ok"), json!("off")));

    // An old result says nothing about the present.
    env.worker(1).kill().await;
    env.execute("UPDATE firewall SET state = 'ok', checked_at = now() - interval '6 minutes'").await;
    let stale = state(&admin).await;
    assert_eq!(stale["state"], "unknown");
    assert!(stale["message"].as_str().unwrap().contains("five minutes"), "{stale}");
    env.finish().await;
}
