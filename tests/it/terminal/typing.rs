//! Input and output of terminals.

use std::time::Duration;

use clawdeploy_tests::terminal::{Attach, Terminal};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{builder, row, shell, site};

#[tokio::test]
async fn keys_pastes_sizes_and_the_end() {
    let (env, ann, instance) = site(builder()).await;
    let (mut terminal, id) = shell(&env, &ann, &instance).await;
    // It starts with the requested size, in the home directory of the container's user.
    assert_eq!(terminal.run("stty size; pwd; id -u; echo $TERM").await, "30 100\n/home/node\n1000\nxterm-256color\n");
    assert_eq!(terminal.run("cat /proc/self/oom_score_adj").await, "1000\n");

    terminal.say(&json!({ "type": "resize", "cols": 133, "rows": 43 })).await;
    let resized = async || terminal.run("stty size").await.contains("43 133\n").then_some(());
    env.wait_for("the new size", Duration::from_secs(20), resized).await;

    // A character in two halves, in both directions.
    terminal.send(b"printf '[%s]' \xe2\x82").await;
    terminal.send(b"\xac; printf '\\342'; sleep 0.1; printf '\\202\\254|\\n'\n").await;
    terminal.expect("[€]€|").await;

    // Docker must not hold back Ctrl-P (its detach keys).
    terminal.output.clear();
    terminal.send("stty -icanon; printf 'rea%s\\n' dy; head -c 1 | cat -v\n").await;
    terminal.expect("ready").await;
    terminal.send([0x10]).await;
    terminal.expect("^P").await;
    terminal.run("stty icanon").await;

    // 200 kB, in pieces like a browser's.
    let pasted = (0..2000).map(|line| format!("{line:05} {}\n", "x".repeat(93))).collect::<Vec<_>>().concat();
    assert_eq!(pasted.len(), 200_000);
    terminal.output.clear();
    terminal.send("stty -echo; head -c 200000 | sha256sum; printf 'PAS%s\\n' TED\n").await;
    for piece in pasted.as_bytes().chunks(32 << 10) {
        terminal.send(piece).await;
    }
    terminal.expect("PASTED").await;
    let sum = hex::encode(Sha256::digest(pasted.as_bytes()));
    assert!(String::from_utf8_lossy(&terminal.output).contains(&sum), "the pasted text did not arrive unchanged");

    terminal.send("printf 'last words\\n'; exit 7\n").await;
    assert_eq!(terminal.ended().await, Some(1000));
    assert_eq!(terminal.told("exit").unwrap(), &json!({ "type": "exit", "code": 7 }));
    assert!(String::from_utf8_lossy(&terminal.output).contains("last words"));
    let row = row(&env, &id).await;
    assert_eq!((&row["end_reason"], &row["exit_code"]), (&json!("exited"), &json!(7)));
    assert!(row["bytes_in"].as_i64().unwrap() > 200_000 && row["bytes_out"].as_i64().unwrap() > 100, "{row}");
    let audit =
        env.rows("SELECT actor, action, target_id, detail FROM audit WHERE action LIKE 'terminal.%' ORDER BY id").await;
    assert_eq!((&audit[0]["action"], &audit[1]["action"]), (&json!("terminal.open"), &json!("terminal.end")));
    assert_eq!((&audit[1]["actor"], &audit[1]["target_id"]), (&json!("ann@test.example"), &json!(instance)));
    assert_eq!((&audit[1]["detail"]["exitCode"], &audit[1]["detail"]["reason"]), (&json!(7), &json!("exited")));
    env.finish().await;
}

#[tokio::test]
async fn ctrl_c_works_at_once_however_slow_the_reader() {
    let (env, ann, instance) = site(builder()).await;
    let (mut terminal, _) = shell(&env, &ann, &instance).await;
    terminal.send("PS1='back%s '; yes\n").await;
    // A reader that acknowledges nothing, until the program is blocked.
    terminal.acks = false;
    terminal.read_until_blocked().await;
    terminal.output.clear();
    terminal.send([3]).await;
    // Before the prompt, only output in transit may arrive, not what the program would have printed later.
    terminal.acks = true;
    terminal.say(&json!({ "type": "ack", "offset": terminal.offset })).await;
    terminal.expect("back").await;
    assert!(terminal.output.len() < 2 << 20, "{} bytes", terminal.output.len());
    env.finish().await;
}

#[tokio::test]
async fn one_of_a_few_commands_and_a_program_without_a_browser() {
    let (env, ann, instance) = site(builder()).await;
    // The fake gateway does not know the command; its exit code is the terminal's.
    let (id, ticket) =
        clawdeploy_tests::terminal::open(&ann, &instance, &json!({ "command": "openclaw configure" })).await;
    let mut terminal = Terminal::attach(&env.base, &id, &ticket, None).await;
    assert_eq!(terminal.ended().await, Some(1000));
    assert_eq!(terminal.told("exit").unwrap()["code"], 1);
    assert!(String::from_utf8_lossy(&terminal.output).contains("cannot configure"));

    let path = format!("/api/instances/{instance}/terminal?cols=90&rows=20");
    let attach = Attach { base: &env.base, path, origin: None, ticket: None, token: ann.token() };
    let mut direct = attach.open().await.unwrap();
    direct.greeted().await;
    direct.quiet().await;
    assert_eq!(direct.run("stty size").await, "20 90\n");
    env.finish().await;
}
