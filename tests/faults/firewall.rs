//! The firewall rules are removed behind our back: the reconciler reports it, and the script's `watch` restores them.

use std::time::Duration;

use clawdeploy_tests::{TestEnv, firewall::Firewall};

/// The time that the documentation promises.
const A_MINUTE: Duration = Duration::from_mins(1);

async fn wait_state(env: &TestEnv, wanted: &str) {
    let admin = env.admin().await;
    let so = async || (admin.get("/api/admin/firewall").await.json["state"] == wanted).then_some(());
    env.wait_for(&format!("the firewall to be {wanted}"), A_MINUTE, so).await;
}

/// Lets the script watch until the firewall is closed. The rules stay when it ends.
async fn close(env: &TestEnv, firewall: &Firewall) {
    let watch = firewall.watch("5");
    wait_state(env, "ok").await;
    drop(watch);
    firewall.wait_in_force(env).await;
}

/// As after a flush, a reload of another firewall, or a restart of the engine, which creates its chains again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_flushed() {
    let env = TestEnv::builder()
        .set("CLAWDEPLOY_FIREWALL", "on")
        .set("CLAWDEPLOY_FIREWALL_SECONDS", "0.5")
        .set("CLAWDEPLOY_RECONCILE_SECONDS", "0.5")
        .build()
        .await;
    let firewall = Firewall::of(&env);
    wait_state(&env, "open").await;
    close(&env, &firewall).await;
    for from in ["DOCKER-USER", "INPUT"] {
        firewall.cut(from);
        // Without a watch, so that a probe certainly notices.
        wait_state(&env, "open").await;
        close(&env, &firewall).await;
    }
    env.finish().await;
}
