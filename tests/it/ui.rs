//! The UI in Chromium, as the API serves it: `tests/browser/ui.mjs` walks through it.

use std::{path::PathBuf, process::Stdio, time::Duration};

use clawdeploy_tests::{FakeMode, TestEnv, programs, settings};
use tokio::{process::Command, time::timeout};

use crate::routes::auth::{PASSWORD, account};

const EMAIL: &str = "eve@test.example";

/// How long the whole walk may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test]
async fn a_person_finds_everything_and_axe_finds_nothing() {
    let env = TestEnv::builder().image(FakeMode::Slow).build().await;
    account(&env, EMAIL).await;
    let kept = settings::variable("CLAWDEPLOY_TEST_SCREENSHOTS").map(PathBuf::from);
    let screenshots = kept.unwrap_or_else(|| env.scratch().to_owned()).join("ui");
    let mut node = Command::new("node");
    node.arg(programs::workspace_root().join("tests/browser/ui.mjs"));
    node.args(["--base", &env.base, "--email", EMAIL]).arg("--screenshots").arg(&screenshots);
    node.env("CLAWDEPLOY_TEST_PASSWORD", PASSWORD).stdin(Stdio::null()).kill_on_drop(true);
    let walked = timeout(PATIENCE, node.output()).await.expect("the walk ends in time").expect("node");
    assert!(walked.status.success(), "{}", String::from_utf8_lossy(&walked.stderr));
    env.finish().await;
}
