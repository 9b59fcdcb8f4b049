//! Worker RPC, and how the API finds a worker that serves.

use std::time::Duration;

use clawdeploy_shared::{
    db::worker,
    ids::InstanceId,
    rpc::signature::Call,
    rpc::{Address, Verb},
    secret::Sealer,
};
use clawdeploy_tests::{TestEnv, WorkerOptions};

use crate::support::running;

/// The pending request in the fake gateway's output.
const WAITING: &str = "ab4fd755-e76d-49de-96cb-98c46ac66196";

fn devices(id: &str) -> String {
    format!("/api/instances/{id}/devices")
}

/// Sets the behavior of OpenClaw's command line in an instance.
fn mood(env: &TestEnv, id: &str, mood: &str) {
    let file = env.data_dir.join(id).join("config/mood");
    std::io::Write::write_all(&mut std::fs::File::create(file).unwrap(), mood.as_bytes()).unwrap();
}

/// Address and name of the only worker.
async fn address(env: &TestEnv) -> (String, String) {
    let called = worker::callable(&mut env.db.conn().await.unwrap()).await.unwrap();
    let Address::Tcp(address) = called[0].address.parse().unwrap() else { panic!("{called:?}") };
    assert!(address.ip().is_loopback(), "{address}");
    (called[0].id.clone(), format!("http://{address}"))
}

#[tokio::test]
async fn nothing_is_told_without_a_signature_for_it() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let (worker, base) = address(&env).await;
    let key_file = env.settings().iter().find(|(name, _)| name == "CLAWDEPLOY_KEY_FILE").unwrap().1.clone();
    let sealer = Sealer::from_file(key_file.as_ref()).unwrap();
    let stranger = Sealer::from_key(&[7; 32]).unwrap();
    let id: InstanceId = made.instance.parse().unwrap();
    let call = Call { worker: &worker, instance: &id, verb: Verb::Devices, arguments: b"{}" };
    let good = sealer.call_key().sign(call);

    let http = clawdeploy_tests::http().build().unwrap();
    let ask = async |path: &str, signature: Option<&str>, body: &'static str| {
        let request = http.post(format!("{base}{path}")).body(body);
        let request = signature.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        request.send().await.unwrap().status().as_u16()
    };
    let path = format!("/v1/instances/{id}/devices");
    assert_eq!(ask(&path, Some(&good), "{}").await, 200);
    let expired = good.replacen(|c: char| c.is_ascii_digit() && c != '1', "0", 1);
    let other_worker = sealer.call_key().sign(Call { worker: "another-1-2", ..call });
    let forged = stranger.call_key().sign(call);
    for (path, signature, body) in [
        (path.as_str(), None, "{}"),
        (&path, Some(""), "{}"),
        (&path, Some(expired.as_str()), "{}"),
        (&path, Some(&other_worker), "{}"),
        (&path, Some(&forged), "{}"),
        (&path, Some(&good), "{ }"),
        (&format!("/v1/instances/{id}/dashboard-link"), Some(&good), "{}"),
        ("/v1/instances/zzzzzzzzzzzz/devices", Some(&good), "{}"),
        ("/v1/instances/x/devices", Some(&good), "{}"),
        ("/v1/nothing", Some(&good), "{}"),
        ("/", None, ""),
    ] {
        assert_eq!(ask(path, signature, body).await, 401, "{path} {signature:?}");
    }
    // With a valid signature: the worker finds no container of an unknown instance.
    let nobody: InstanceId = "zzzzzzzzzzzz".parse().unwrap();
    let signature = sealer.call_key().sign(Call { instance: &nobody, ..call });
    assert_eq!(ask("/v1/instances/zzzzzzzzzzzz/devices", Some(&signature), "{}").await, 404);
    env.finish().await;
}

#[tokio::test]
async fn a_worker_that_was_killed_is_passed_over_and_with_none_left_that_is_the_answer() {
    let env = TestEnv::builder().workers(2).build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    env.worker(0).kill().await;
    for _ in 0..4 {
        ann.get(&devices(&made.instance)).await.expect(200);
    }
    env.worker(1).kill().await;
    // Both rows are still alive; the API finds out by calling.
    let answer = ann.get(&devices(&made.instance)).await.expect(503);
    assert_eq!((answer.code(), answer.header("retry-after")), ("no_worker", Some("3")), "{}", answer.text);
    let answer = ann.post_empty(&format!("{}/{}/approve", devices(&made.instance), WAITING)).await;
    assert_eq!(answer.brief(), "503 no_worker");
    env.add_worker(&WorkerOptions::default()).await;
    let served = async || (ann.get(&devices(&made.instance)).await.status == 200).then_some(());
    env.wait_for("a new worker to serve", Duration::from_secs(10), served).await;
    env.finish().await;
}

#[tokio::test]
async fn two_at_once_take_turns() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let (path, link) = (devices(&made.instance), format!("/api/instances/{}/dashboard-link", made.instance));
    let (one, two, three) = tokio::join!(ann.get(&path), ann.post_empty(&link), ann.get(&path));
    for answer in [one, two, three] {
        answer.expect(200);
    }
    env.finish().await;
}

/// A list is a command in the container that takes a core for seconds.
#[tokio::test]
async fn many_who_list_the_devices_share_one_command_until_something_changes() {
    let env = TestEnv::builder().workers(2).build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let path = devices(&made.instance);
    let commands = || {
        let file = env.data_dir.join(&made.instance).join("config/commands.log");
        let lines = std::fs::read_to_string(file).unwrap_or_default();
        lines.lines().filter(|line| line.starts_with("devices list")).count()
    };
    let (a, b, c, d) = tokio::join!(ann.get(&path), ann.get(&path), ann.get(&path), ann.get(&path));
    for answer in [a, b, c, d] {
        answer.expect(200);
    }
    assert_eq!(commands(), 1);
    ann.post_empty(&format!("{path}/{WAITING}/approve")).await.expect(200);
    ann.get(&path).await.expect(200);
    assert_eq!(commands(), 2, "the list has changed");
    env.finish().await;
}

/// A gateway that speaks OpenClaw's protocol is asked over it, and no command runs but the one that pairs our device.
#[tokio::test]
async fn the_gateway_itself_lists_its_devices() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let path = devices(&made.instance);
    let config = env.data_dir.join(&made.instance).join("config");
    let lines = |name: &str, start: &str| {
        let text = std::fs::read_to_string(config.join(name)).unwrap_or_default();
        text.lines().filter(|line| line.starts_with(start)).count()
    };
    // Lists by command, approvals, and lists by the gateway.
    let counts = || {
        (
            lines("commands.log", "devices list"),
            lines("commands.log", "devices approve 5d9f"),
            lines("socket-lists.log", ""),
        )
    };
    let changed = async || ann.post_empty(&format!("{path}/{WAITING}/approve")).await.expect(200);
    std::fs::File::create(config.join("socket")).unwrap();
    let (a, b) = tokio::join!(ann.get(&path), ann.get(&path));
    let listed = a.expect(200).json;
    assert_eq!((&b.expect(200).json, counts()), (&listed, (0, 1, 1)));
    assert_eq!((listed["pending"].as_array().unwrap().len(), &listed["leftOut"]), (1, &0.into()), "{listed:#}");
    let own = std::fs::read_to_string(config.join("socket-lists.log")).unwrap();
    let own = own.trim();
    assert!(own.len() == 64 && !listed.to_string().contains(own), "{listed:#}");
    changed().await;
    assert_eq!((ann.get(&path).await.expect(200).json, counts()), (listed.clone(), (0, 1, 2)));

    // An owner cannot remove it by mistake.
    assert_eq!(ann.delete(&format!("{path}/{own}")).await.brief(), "404 device_not_found");
    assert_eq!(lines("commands.log", "devices remove"), 0);

    // A gateway that forgets it is asked by commands for a while.
    std::fs::remove_file(config.join("socket-paired")).unwrap();
    changed().await;
    for commands in [1, 2] {
        assert_eq!(ann.get(&path).await.expect(200).json, listed);
        assert_eq!(counts(), (commands, 1, 2), "our device was paired a moment ago");
        changed().await;
    }
    // Another worker does not know of that, and pairs it again. It is the same device.
    env.worker(0).kill().await;
    env.add_worker(&WorkerOptions::default()).await;
    let served = async || Some(ann.get(&path).await).filter(|answer| answer.status == 200);
    let answer = env.wait_for("the new worker to serve", Duration::from_secs(10), served).await;
    assert_eq!((answer.json, counts()), (listed, (2, 2, 3)));
    assert_eq!(lines("socket-lists.log", own), 3);
    env.finish().await;
}

/// The plugin of our images makes the link. A command does if there is none, or if what it says is no token.
#[tokio::test]
async fn the_gateway_itself_makes_the_link_to_its_dashboard() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let path = format!("/api/instances/{}/dashboard-link", made.instance);
    let config = env.data_dir.join(&made.instance).join("config");
    let commands = || std::fs::read_to_string(config.join("commands.log")).unwrap_or_default().lines().count();
    let link = async || ann.post_empty(&path).await.expect(200).json["url"].as_str().unwrap().to_owned();
    let by_command = link().await;
    assert_eq!(commands(), 1);

    let answers = async |text: &str| tokio::fs::write(config.join("plugin"), text).await.unwrap();
    answers(r#"{"token":"Ab-_9","expiresAtMs":1795619206139}"#).await;
    let by_plugin = link().await;
    assert!(by_plugin.contains("#bootstrapToken=Ab-_9&bootstrapProfile=owner"), "{by_plugin}");
    assert_ne!(by_plugin, by_command);
    assert_eq!(commands(), 1);

    let long = format!(r#"{{"token":"Ab","expiresAtMs":1795619206139,"more":"{}"}}"#, "x".repeat(5000));
    for (nth, answer) in ["", "[]", r#"{"token":"a&b","expiresAtMs":1795619206139}"#, &long, "hang"].iter().enumerate()
    {
        answers(answer).await;
        assert_eq!(link().await, by_command, "{answer}");
        assert_eq!(commands(), nth + 2, "{answer}");
    }
    env.finish().await;
}

#[tokio::test]
async fn a_command_that_fails_is_an_answer() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    mood(&env, &made.instance, "fail");
    assert_eq!(ann.get(&devices(&made.instance)).await.brief(), "502 gateway_failed");
    mood(&env, &made.instance, "");
    env.finish().await;
}

/// An action that OpenClaw may have executed is in the audit log, even if its output cannot be parsed.
#[tokio::test]
async fn an_answer_that_is_not_understood_is_in_the_audit_log() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    let path = devices(&made.instance);
    let device = "abb4a6afbe686908ec9263d81ff0753b05231284ea0b892a553584683f8ecda3";
    mood(&env, &made.instance, "mumble");
    for verb in ["approve", "reject"] {
        assert_eq!(ann.post_empty(&format!("{path}/{WAITING}/{verb}")).await.brief(), "502 gateway_failed", "{verb}");
    }
    assert_eq!(ann.delete(&format!("{path}/{device}")).await.brief(), "502 gateway_failed");
    let audit = "SELECT action, outcome, detail FROM audit WHERE action LIKE 'device.%' ORDER BY id";
    let entry = |action: &str, key: &str, id: &str| {
        let detail = serde_json::json!({ key: id, "error": "gateway_failed" });
        serde_json::json!({ "action": action, "outcome": "failure", "detail": detail })
    };
    let want = [
        entry("device.approve", "requestId", WAITING),
        entry("device.reject", "requestId", WAITING),
        entry("device.remove", "deviceId", device),
    ];
    assert_eq!(env.rows(audit).await, want);
    mood(&env, &made.instance, "");
    // An action that was certainly not executed is not.
    let nobody = "01900000-0000-7000-8000-000000000000";
    let answer = ann.post_empty(&format!("{path}/{nobody}/approve")).await;
    assert_eq!(answer.brief(), "404 pairing_request_not_found");
    assert_eq!(env.rows(audit).await.len(), 3);
    env.finish().await;
}

#[tokio::test]
async fn a_worker_on_a_socket_serves_and_leaves_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}", directory.path().display());
    let env = TestEnv::builder().set("CLAWDEPLOY_WORKER_LISTEN", &listen).build().await;
    let made = running(&env, "first").await;
    let ann = env.user("ann").await;
    ann.get(&devices(&made.instance)).await.expect(200);
    let socket = env.row("SELECT address FROM workers").await["address"].as_str().unwrap().to_owned();
    env.worker(0).terminate().await;
    assert!(!std::path::Path::new(socket.trim_start_matches("unix:")).exists(), "{socket} was left");
    assert_eq!(ann.get(&devices(&made.instance)).await.brief(), "503 no_worker");
    env.finish().await;
}
