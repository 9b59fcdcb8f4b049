//! Cross-site requests from hostile pages: one on a neighbour's domain below the panel's, and one on a foreign domain.

use std::{process::Stdio, time::Duration};

use clawdeploy_tests::{TestEnv, programs::workspace_root};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::support::account;

#[tokio::test]
async fn they_change_nothing() {
    let env = TestEnv::builder().workers(0).build().await;
    account(&env, "eve@test.example").await;
    let panel = env.base.replace("127.0.0.1", "panel.localhost");
    let mut node = Command::new("node");
    node.arg(workspace_root().join("tests/browser/hostile.mjs")).args([
        "--panel",
        &panel,
        "--email",
        "eve@test.example",
    ]);
    node.args(["--password", "canary horse battery"]).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = timeout(Duration::from_mins(3), node.output()).await.expect("a browser in time").expect("node");
    let said: Value = serde_json::from_slice(&output.stdout).expect("what the browser says: has `npm ci` been run?");
    // Without CORS, a page cannot read the response: `opaque`.
    let came = json!({
        "read": "blocked", "json": "blocked", "text": "opaque", "delete": "blocked", "logout": "opaque", "framed": false,
        "signedIn": 200,
    });
    assert_eq!(said, json!({ "signIn": 200, "before": 200, "neighbour": came, "stranger": came }));
    assert!(env.api.log().contains("code=\"cross_site\""), "no request was refused as cross-site");
    assert_eq!(env.rows("SELECT id FROM instances").await, Vec::<Value>::new());
    assert_eq!(env.rows("SELECT id FROM sessions").await.len(), 1);
    let done = env.rows("SELECT action FROM audit ORDER BY id").await;
    assert_eq!(done, [json!({ "action": "user.create" }), json!({ "action": "auth.login" })]);
    env.finish().await;
}
