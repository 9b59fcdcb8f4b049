//! The instances' firewall is taken away behind our back: an alarm, and closed again by the helper that may do so.

use std::time::Duration;

use clawdeploy_tests::{TestEnv, firewall::Firewall};

/// What the documents promise.
const A_MINUTE: Duration = Duration::from_mins(1);

async fn wait_state(env: &TestEnv, wanted: &str) {
    let admin = env.admin().await;
    let so = async || (admin.get("/api/admin/firewall").await.json["state"] == wanted).then_some(());
    env.wait_for(&format!("the firewall to be {wanted}"), A_MINUTE, so).await;
}

/// As after a flush, a reload of another firewall, or a restart of the engine that makes its chains anew.
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
    for from in ["DOCKER-USER", "INPUT"] {
        // Long enough for a probe to see it first.
        let watch = firewall.watch("5");
        wait_state(&env, "ok").await;
        firewall.cut(from);
        wait_state(&env, "open").await;
        wait_state(&env, "ok").await;
        drop(watch);
        assert!(firewall.command("check").status().unwrap().success(), "it ends and leaves the rules");
    }
    env.finish().await;
}
