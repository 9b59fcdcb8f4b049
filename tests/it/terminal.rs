//! Terminals in containers with a shell.

mod behind_nginx;
mod bounds;
mod ends;
mod refusals;
mod stays;
mod typing;

use std::time::Duration;

use clawdeploy_tests::{Builder, Client, FakeMode, TestEnv, docker, terminal::Terminal, wait};

use crate::support::running;

/// An installation with an instance that has a shell.
async fn site(builder: Builder) -> (TestEnv, Client, String) {
    let env = builder.build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    (env, ann, made.instance)
}

fn builder() -> Builder {
    TestEnv::builder().image(FakeMode::Shell)
}

/// A quiet shell, and the terminal's id.
async fn shell(env: &TestEnv, ann: &Client, instance: &str) -> (Terminal, String) {
    let (mut terminal, id) = Terminal::new(ann, &env.base, instance).await;
    terminal.quiet().await;
    (terminal, id)
}

/// Commands in a container, without its gateway and its init.
async fn processes(instance: &str) -> Vec<String> {
    let listed = docker::docker(&["top", &format!("claw-{instance}"), "-eo", "pid,args"]).await;
    let command = |line: &str| line.trim().split_once(' ').map(|(_, command)| command.trim().to_owned());
    let all = listed.lines().skip(1).filter_map(command);
    all.filter(|command| !command.contains("docker-init") && !command.contains("node") && !command.contains("tini"))
        .collect()
}

/// Waits until only the gateway is left in a container.
async fn nothing_left(env: &TestEnv, instance: &str, within: Duration) {
    let left = async || processes(instance).await.is_empty().then_some(());
    let gone = wait::poll(within, left).await;
    let within = within * wait::PATIENCE;
    assert!(gone.is_some(), "after {within:?} in {instance} of {}: {:?}", env.name, processes(instance).await);
}

/// The row of a terminal, once it has ended.
async fn row(env: &TestEnv, id: &str) -> serde_json::Value {
    let sql = format!("SELECT * FROM terminals WHERE id = '{id}' AND ended_at IS NOT NULL");
    let found = async || env.rows(&sql).await.into_iter().next();
    env.wait_for("the end of a terminal to be noted", Duration::from_secs(10), found).await
}
