//! The UI in Chromium, served by the API: the walks in `tests/browser/`.

mod admin;
mod inside;
mod people;

use std::{path::PathBuf, process::Stdio, time::Duration};

use clawdeploy_tests::{FakeMode, TestEnv, programs, settings};
use diesel_async::SimpleAsyncConnection as _;
use tokio::{process::Command, time::timeout};

use crate::support::{PASSWORD, account, say};

pub(crate) const EMAIL: &str = "eve@test.example";

/// Time limit of a walk on a busy machine.
const PATIENCE: Duration = Duration::from_mins(14);

/// Runs a walk through the UI at `base`, with additional arguments and variables.
pub(crate) async fn walk(env: &TestEnv, name: &str, base: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let wanted = settings::variable("CLAWDEPLOY_TEST_SCREENSHOTS").map(|directory| PathBuf::from(directory).join("ui"));
    let failures = wanted.clone().unwrap_or_else(|| env.scratch().join("ui"));
    let mut node = Command::new("node");
    node.arg(programs::workspace_root().join("tests/browser").join(name));
    node.args(["--base", base, "--email", EMAIL]).args(arguments).arg("--failures").arg(&failures);
    // A screenshot takes as long as a step, so they are made only on request.
    if let Some(screenshots) = &wanted {
        node.arg("--screenshots").arg(screenshots);
    }
    node.env("CLAWDEPLOY_TEST_PASSWORD", PASSWORD).envs(variables.iter().copied());
    node.stdin(Stdio::null()).kill_on_drop(true);
    let walked = timeout(PATIENCE, node.output()).await.expect("the walk ends in time").expect("node");
    let said = String::from_utf8_lossy(&walked.stderr);
    say(&said);
    assert!(walked.status.success(), "{said}");
}

#[tokio::test]
async fn a_person_finds_everything_and_axe_finds_nothing() {
    let env = TestEnv::builder().image(FakeMode::Slow).build().await;
    account(&env, EMAIL).await;
    walk(&env, "ui.mjs", &env.base, &["--motion", "no-preference"], &[]).await;
    env.finish().await;
}

#[tokio::test]
async fn a_list_that_is_longer_than_the_screen() {
    let env = TestEnv::builder().workers(0).build().await;
    account(&env, EMAIL).await;
    let rows = include_str!("../../scripts/bench-ui/instances.sql").replace(":instances)", "120)");
    env.connect().await.batch_execute(&rows).await.unwrap();
    walk(&env, "many.mjs", &env.base, &[], &[]).await;
    // The rows have no containers, and no worker would end the jobs.
    env.execute("TRUNCATE instances, jobs CASCADE").await;
    env.finish().await;
}
