//! OpenClaw's own commands in a terminal.

use std::time::Duration;

use clawdeploy_tests::{
    Image, TestEnv,
    terminal::{Terminal, open},
};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::booted;
use crate::support::{deleted, say};

/// What it may take beside a gateway, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
/// When nothing is printed for so long it may be waiting for a key.
const SILENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_doctor_runs_to_its_end() {
    let env = TestEnv::builder().image(Image::Real).ready(180.0).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    booted(&env, &made).await;
    let (id, ticket) =
        open(&ann, &made.instance, &json!({ "cols": 120, "rows": 40, "command": "openclaw doctor" })).await;
    let mut terminal = Terminal::attach(&env.base, &id, &ticket, None).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "it does not end: {}", String::from_utf8_lossy(&terminal.output));
        match timeout(SILENCE, terminal.read()).await {
            Ok(true) => {}
            Ok(false) => break,
            // Whatever it asks, the answer is what it proposes.
            Err(_) => terminal.send("\r").await,
        }
    }
    let said = String::from_utf8_lossy(&terminal.output).into_owned();
    say(&said);
    assert_eq!(terminal.closed, Some(1000), "{said}");
    assert_eq!(terminal.told("exit").unwrap()["code"], 0, "{said}");
    assert!(said.to_lowercase().contains("doctor"), "{said}");
    // The gateway beside it has borne it.
    assert_eq!(ann.instance(&made.instance).await["status"], "running");
    deleted(&env, &made.instance).await;
    env.finish().await;
}
