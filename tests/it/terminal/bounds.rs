//! Limits of terminals.

use std::time::Duration;

use clawdeploy_tests::{
    process::Process,
    terminal::{Terminal, ticket},
};
use serde_json::json;

use super::{builder, nothing_left, shell, site};
use crate::support::say;

const MANY: usize = 50;
/// How many of them fill their replay buffer.
const FULL: usize = 16;

/// Private memory of a process in KiB.
fn resident_kib(process: &Process) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid())).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss_Anon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn frames_storms_and_nonsense() {
    let (env, ann, instance) = site(builder()).await;
    let (mut terminal, _) = shell(&env, &ann, &instance).await;
    for n in 0..3000_u32 {
        terminal.say(&json!({ "type": "resize", "cols": n % 200, "rows": n % 100 })).await;
    }
    terminal.say(&json!({ "type": "resize", "cols": 77, "rows": 33 })).await;
    for nonsense in [
        json!({}),
        json!([1]),
        json!({ "type": "ack", "offset": 1_u64 << 60 }),
        json!({ "type": "resize", "cols": -1 }),
    ] {
        terminal.say(&nonsense).await;
    }
    let last = async || terminal.run("stty size").await.contains("33 77\n").then_some(());
    env.wait_for("the last size", Duration::from_secs(20), last).await;
    // The header of a 2 GiB frame, which a decoder of framed output would wait for.
    terminal.output.clear();
    terminal.send("printf '\\001\\0\\0\\0\\177\\377\\377\\377'; printf 'still%s\\n' here\n").await;
    terminal.expect("stillhere").await;
    // A message of the maximum length, and one that is longer.
    terminal.send(vec![b' '; 64 << 10]).await;
    terminal.try_send(vec![b' '; 65 << 10]).await;
    assert_eq!(terminal.ended().await, Some(1009));
    env.finish().await;
}

#[tokio::test]
async fn who_acknowledges_nothing_is_detached_and_the_work_goes_on() {
    let (env, ann, instance) = site(builder()).await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    terminal.acks = false;
    terminal.send("seq 1 200000 >/tmp/n; cat /tmp/n; echo done >/tmp/done\n").await;
    assert_eq!(terminal.ended().await, Some(4008));
    // At most the window and the data in transit were sent without an acknowledgement.
    assert!(terminal.output.len() < 400 << 10, "{} bytes", terminal.output.len());
    let mut again = Terminal::attach(&env.base, &id, &ticket(&ann, &id).await, Some(terminal.offset)).await;
    again.expect("200000").await;
    assert_eq!(again.run("cat /tmp/done").await, "done\n");
    env.finish().await;
}

#[tokio::test]
async fn fifty_of_them_with_all_that_they_keep() {
    let many = MANY.to_string();
    let limits =
        builder().set("CLAWDEPLOY_MAX_TERMINALS_PER_USER", &many).set("CLAWDEPLOY_MAX_TERMINALS_PER_INSTANCE", &many);
    let (env, ann, instance) = site(limits).await;
    let worker = env.worker(0);
    let before = resident_kib(&worker);
    let mut terminals: Vec<(Terminal, String)> = Vec::new();
    for _ in 0..MANY {
        terminals.push(Terminal::new(&ann, &env.base, &instance).await);
    }
    let idle = resident_kib(&worker);
    for (terminal, _) in terminals.iter_mut().take(FULL) {
        terminal.send("head -c 1100000 /dev/zero | tr '\\0' x; printf '%s' fi ni shed\n").await;
        terminal.expect("finished").await;
        terminal.output = Vec::new();
    }
    let full = resident_kib(&worker);
    let each = idle.saturating_sub(before) / MANY as u64 + full.saturating_sub(idle) / FULL as u64;
    say(&format!("{MANY} terminals: {before} KiB before, {idle} idle, {full} with full rings: {each} each"));
    assert!(each <= 1536, "{each} KiB each");
    drop(terminals);
    env.execute("UPDATE terminals SET close_reason = 'closed'").await;
    nothing_left(&env, &instance, Duration::from_secs(10)).await;
    env.finish().await;
}
