//! How terminals end, and that no process is left then.

use std::time::Duration;

use clawdeploy_tests::{WorkerOptions, docker, terminal::Terminal};
use serde_json::json;

use super::{builder, nothing_left, processes, row, shell, site};
use crate::support::{done, wait_job};

/// Commands that do not end by themselves.
const STUBBORN: [&str; 3] = ["sleep 1000\n", "yes >/dev/null\n", "trap '' HUP TERM INT; while :; do sleep 1; done\n"];
/// Patience with what is left of a terminal after its end.
const GONE: Duration = Duration::from_secs(5);

async fn stubborn(
    env: &clawdeploy_tests::TestEnv,
    ann: &clawdeploy_tests::Client,
    instance: &str,
) -> Vec<(Terminal, String)> {
    let mut terminals = Vec::new();
    for command in STUBBORN {
        let (mut terminal, id) = shell(env, ann, instance).await;
        terminal.send(command).await;
        terminals.push((terminal, id));
    }
    let begun = async || {
        let all = processes(instance).await;
        (all.iter().any(|c| c == "sleep 1000") && all.iter().any(|c| c == "yes")).then_some(())
    };
    env.wait_for("all of them to run", Duration::from_secs(5), begun).await;
    terminals
}

#[tokio::test]
async fn nothing_outlives_a_browser_an_api_or_a_worker_that_was_killed() {
    let (mut env, ann, instance) = site(builder().set("CLAWDEPLOY_TERMINAL_DETACH_SECONDS", "1")).await;
    let terminals = stubborn(&env, &ann, &instance).await;
    let id = terminals[0].1.clone();
    drop(terminals);
    nothing_left(&env, &instance, GONE).await;
    assert_eq!(row(&env, &id).await["end_reason"], "detached");
    let mut terminals = stubborn(&env, &ann, &instance).await;
    env.api.kill().await;
    assert_eq!(terminals[0].0.ended().await, None);
    nothing_left(&env, &instance, GONE).await;
    env.revive_api();
    let up = async || ann.request(reqwest::Method::GET, "/healthz").send().await.ok();
    env.wait_for("the API", Duration::from_secs(20), up).await;
    let mut terminals = stubborn(&env, &ann, &instance).await;
    env.worker(0).kill().await;
    assert_eq!(terminals[0].0.ended().await, Some(1012));
    nothing_left(&env, &instance, GONE).await;
    env.add_worker(&WorkerOptions::default()).await;
    let forgotten = async || {
        let open = ann.get(&format!("/api/instances/{instance}/terminals")).await.expect(200).json;
        open["items"].as_array().unwrap().is_empty().then_some(())
    };
    env.wait_for("the rows to say so", Duration::from_secs(40), forgotten).await;
    assert_eq!(row(&env, &terminals[0].1).await["end_reason"], "lost");
    env.finish().await;
}

#[tokio::test]
async fn what_a_worker_left_that_was_killed_at_the_wrong_moment() {
    let (env, _, instance) = site(builder()).await;
    // As if the worker was killed before the supervisor knew the terminal.
    let id = uuid::Uuid::now_v7();
    let (mark, variable) = (format!("clawdeploy-terminal:{id}"), format!("CLAWDEPLOY_TERMINAL={id}"));
    let container = format!("claw-{instance}");
    docker::docker(&["exec", "-d", "-t", "-e", &variable, &container, "/bin/sh", "-c", "exec sleep 2000", &mark]).await;
    let begun = async || (!processes(&instance).await.is_empty()).then_some(());
    env.wait_for("it to run", Duration::from_secs(5), begun).await;
    env.add_worker(&WorkerOptions::default()).await;
    nothing_left(&env, &instance, GONE).await;
    env.finish().await;
}

#[tokio::test]
async fn stopping_an_instance_waits_for_no_reader() {
    let (env, ann, instance) = site(builder().workers(2)).await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    terminal.acks = false;
    terminal.send("yes\n").await;
    terminal.read_until_blocked().await;
    done(&env, &instance, "stop").await;
    assert_eq!(terminal.ended().await, Some(4409));
    assert_eq!(row(&env, &id).await["end_reason"], "stopping");
    env.finish().await;
}

#[tokio::test]
async fn by_its_owner_its_container_or_its_limits() {
    let limits = builder().set("CLAWDEPLOY_TERMINAL_IDLE_SECONDS", "4").set("CLAWDEPLOY_RECONCILE_SECONDS", "1");
    let (env, ann, instance) = site(limits).await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    ann.delete(&format!("/api/terminals/{id}")).await.expect(204);
    assert_eq!(terminal.ended().await, Some(1000));
    assert_eq!(row(&env, &id).await["end_reason"], "closed");
    ann.delete(&format!("/api/terminals/{id}")).await.expect(404);
    let (mut terminal, _) = shell(&env, &ann, &instance).await;
    terminal.say(&json!({ "type": "close" })).await;
    assert_eq!(terminal.ended().await, Some(1000));

    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    assert_eq!(terminal.ended().await, Some(4008));
    assert_eq!(terminal.told("warning").map(|told| told["code"].clone()), Some(json!("idle")));
    assert_eq!(row(&env, &id).await["end_reason"], "idle");
    nothing_left(&env, &instance, GONE).await;

    let (mut terminal, _) = shell(&env, &ann, &instance).await;
    docker::docker(&["kill", "--signal", "KILL", &format!("claw-{instance}")]).await;
    assert_eq!(terminal.ended().await, Some(4409));
    crate::support::wait_status(&env, &instance, "stopped", Duration::from_secs(15)).await;

    // A worker that is terminated sends its own close code.
    done(&env, &instance, "start").await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    let (status, closed) = tokio::join!(async { env.worker(0).terminate().await }, terminal.ended());
    assert!(status.success());
    assert_eq!(closed, Some(4404));
    assert_eq!(row(&env, &id).await["end_reason"], "draining");
    nothing_left(&env, &instance, GONE).await;
    env.add_worker(&WorkerOptions::default()).await;
    env.finish().await;
}

#[tokio::test]
async fn when_its_owner_may_not_any_more() {
    let (env, ann, instance) = site(builder()).await;
    let (mut terminal, _) = shell(&env, &ann, &instance).await;
    let again = env.user("ann").await;
    env.execute(
        "UPDATE api_tokens SET revoked_at = now() WHERE id = (SELECT token_id FROM terminals WHERE ended_at IS NULL)",
    )
    .await;
    assert_eq!(terminal.ended().await, Some(4401));
    let (mut terminal, id) = shell(&env, &again, &instance).await;
    env.execute("UPDATE users SET suspended_at = now() WHERE email = 'ann@test.example'").await;
    assert_eq!(terminal.ended().await, Some(4403));
    assert_eq!(row(&env, &id).await["end_reason"], "revoked");
    env.execute("UPDATE users SET suspended_at = NULL").await;
    nothing_left(&env, &instance, GONE).await;
    let (mut terminal, id) = shell(&env, &again, &instance).await;
    let gone = again.remove(&instance).await;
    assert_eq!(terminal.ended().await, Some(4409));
    wait_job(&env, &gone.job, "succeeded").await;
    assert_eq!(row(&env, &id).await["end_reason"], "stopping");
    env.finish().await;
}
