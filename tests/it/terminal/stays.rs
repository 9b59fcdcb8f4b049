//! A terminal survives the loss of its browser or of the API.

use std::time::Duration;

use clawdeploy_tests::terminal::{Terminal, ticket};
use serde_json::json;

use super::{builder, processes, shell, site};

const LINES: usize = 9000;

#[tokio::test]
async fn nothing_is_lost_or_doubled_over_five_cuts() {
    let (env, ann, instance) = site(builder()).await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    let (mut all, mut offset) = (Vec::new(), terminal.offset);
    terminal
        .send(format!("i=0; while [ $i -lt {LINES} ]; do echo \"line $i of many\"; i=$((i+1)); done; echo over\n"))
        .await;
    for cut in 1..=6_usize {
        let done = async |all: &[u8]| cut < 6 && all.len() > cut * 20_000;
        while !String::from_utf8_lossy(&all[all.len().saturating_sub(10)..]).contains("over") && !done(&all).await {
            assert!(terminal.read().await, "cut off by the server: {:?}", terminal.closed);
            all.append(&mut terminal.output);
            offset = terminal.offset;
        }
        if cut < 6 {
            // Without a close frame, like a broken network.
            drop(terminal);
            terminal = Terminal::attach(&env.base, &id, &ticket(&ann, &id).await, Some(offset)).await;
            assert_eq!((&terminal.told[0]["reset"], &terminal.told[0]["offset"]), (&json!(false), &json!(offset)));
        }
    }
    let want = (0..LINES).map(|i| format!("line {i} of many\r\n")).collect::<Vec<_>>().concat();
    let seen = String::from_utf8(all).unwrap();
    assert!(seen == want + "over\r\n", "something was lost or doubled: {} bytes", seen.len());
    env.finish().await;
}

#[tokio::test]
async fn the_same_shell_after_the_api_was_killed() {
    let (mut env, ann, instance) = site(builder()).await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    let shell_pid = terminal.run("mine=kept; echo $$").await;
    let offset = terminal.offset;
    env.api.kill().await;
    assert_eq!(terminal.ended().await, None);
    env.revive_api();
    let up = async || ann.request(reqwest::Method::GET, "/healthz").send().await.ok();
    env.wait_for("the API", Duration::from_secs(20), up).await;
    let mut again = Terminal::attach(&env.base, &id, &ticket(&ann, &id).await, Some(offset)).await;
    assert_eq!(again.told[0]["reset"], false);
    assert_eq!(again.run("echo $mine $$").await, format!("kept {shell_pid}"));

    // An API that is terminated sends a close code.
    let told = async { env.api.terminate().await };
    let (status, closed) = tokio::join!(told, again.ended());
    assert!(status.success());
    assert_eq!(closed, Some(1012));
    env.revive_api();
    env.wait_for("the API", Duration::from_secs(20), up).await;
    // A browser without an offset gets all that the replay buffer has.
    let mut whole = Terminal::attach(&env.base, &id, &ticket(&ann, &id).await, None).await;
    assert_eq!((&whole.told[0]["reset"], &whole.told[0]["offset"]), (&json!(true), &json!(0)));
    whole.expect("kept").await;

    // A second attachment takes over.
    let other = Terminal::attach(&env.base, &id, &ticket(&ann, &id).await, None).await;
    assert_eq!(whole.ended().await, Some(4001));
    drop(other);
    env.finish().await;
}

#[tokio::test]
async fn half_a_minute_away() {
    let (env, ann, instance) = site(builder()).await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    terminal.send("mine=kept; sleep 30; echo awake\n").await;
    let sleeps = async || processes(&instance).await.iter().any(|line| line.contains("sleep 30"));
    env.wait_for("the command", Duration::from_secs(10), async || sleeps().await.then_some(())).await;
    let offset = terminal.offset;
    // Without a close frame, like a suspended laptop.
    drop(terminal);
    env.wait_for("its end", Duration::from_secs(50), async || (!sleeps().await).then_some(())).await;
    let mut again = Terminal::attach(&env.base, &id, &ticket(&ann, &id).await, Some(offset)).await;
    assert_eq!(again.told[0]["reset"], false);
    again.expect("awake\r\n").await;
    assert_eq!(again.run("echo $mine").await.trim(), "kept");
    env.finish().await;
}

#[tokio::test]
async fn away_for_a_while_and_the_work_went_on() {
    let (env, ann, instance) = site(builder()).await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    // More than the replay buffer holds: the replay begins with a whole line.
    terminal.send("seq 1 300000; echo all of it\n").await;
    terminal.expect("\n100\r\n").await;
    let offset = terminal.offset;
    drop(terminal);
    let listed = ann.get(&format!("/api/instances/{instance}/terminals")).await.expect(200).json;
    assert_eq!(listed["items"][0]["id"], json!(id));
    // Attached again after the end: the replay buffer has the end of the output but no longer its beginning.
    let done = async || {
        let mut again = Terminal::attach(&env.base, &id, &ticket(&ann, &id).await, Some(offset)).await;
        let all = again.told[0]["replay"].as_u64().unwrap();
        let reset = again.told[0]["reset"].as_bool().unwrap();
        while (again.output.len() as u64) < all {
            assert!(again.read().await);
        }
        let text = String::from_utf8(again.output.clone()).unwrap();
        text.ends_with("all of it\r\n").then_some((reset, text))
    };
    let (reset, text) = env.wait_for("the end of the work", Duration::from_secs(20), done).await;
    let first: usize = text.lines().next().unwrap().parse().unwrap();
    assert!(reset && first > 100, "{reset} {first}");
    let want = (first..=300_000).map(|n| format!("{n}\r\n")).collect::<Vec<_>>().concat();
    assert_eq!(text.trim_end_matches("all of it\r\n").len(), want.len());
    env.finish().await;
}
