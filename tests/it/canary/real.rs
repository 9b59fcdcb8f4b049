//! The search for secrets with the real OpenClaw, whose logs, arguments and files the fake gateway lacks. Also the life
//! of a real gateway: it starts with our files and keeps its data.

use std::time::Duration;

use clawdeploy_tests::{Client, Image, TestEnv, WorkerOptions, docker, terminal::Terminal};
use serde_json::{Value, json};

use super::{
    Arguments, Secrets, changes, database_dump, form,
    places::{processes_of, redis_dump},
    refusals,
};
use crate::support::{config_file, deleted, http, instance, listens, port, wait_job_within, wait_status};

/// A boot takes 15 seconds on two idle cores.
const BOOT: Duration = Duration::from_mins(4);

#[tokio::test]
async fn a_real_gateway_from_its_creation_to_its_end() {
    let arguments = Arguments::watch();
    let mut secrets = Secrets::default();
    let env = TestEnv::builder().image(Image::Real).ready(600.0).workers(0).build().await;
    let metrics = format!("127.0.0.1:{}", env.slot.api_port(2));
    env.add_worker(&WorkerOptions::default().set("CLAWDEPLOY_METRICS_LISTEN", &metrics)).await;
    let ann = env.user("ann").await;
    secrets.add("the token of whoever asks", ann.token().unwrap());

    // Without a channel, because a bot would connect to its platform.
    let mut with = form(&mut secrets);
    with["channel"] = json!("none");
    with.as_object_mut().unwrap().remove("botToken");
    let made = ann.create_with(&with).await;
    wait_job_within(&env, &made.job, "succeeded", BOOT).await;
    let (id, container) = (&made.instance, format!("claw-{}", made.instance));
    let shown = came_up(&env, &ann, id).await;
    secrets.add("a gateway token", shown["gatewayToken"].as_str().unwrap());
    let path = format!("/api/instances/{id}");
    let link = ann.post_empty(&format!("{path}/dashboard-link")).await.expect(200);
    let token = link.json["url"].as_str().unwrap().split("bootstrapToken=").nth(1).unwrap();
    secrets.add("the link's token", token.split('&').next().unwrap());
    ann.get(&format!("{path}/devices")).await.expect(200);
    let mut containers = docker::docker(&["inspect", &container]).await;

    let mut other = changes(&mut secrets);
    for field in ["channel", "botToken"] {
        other.as_object_mut().unwrap().remove(field);
    }
    ann.patch(&path, &other).await.expect(200);
    let waiting = database_dump(&env).await;
    stopped_and_started(&env, &ann, id, &shown).await;
    containers.push_str(&docker::docker(&["inspect", &container]).await);
    let (mut terminal, _) = Terminal::new(&ann, &env.base, id).await;
    terminal.quiet().await;

    let inside = processes_of(&container).await;
    let printed = docker::docker(&["logs", &container]).await;
    let told = ann.get(&format!("{path}/logs?tail=10000")).await.expect(200).text;
    let image = Image::Real.reference();
    let history = docker::docker(&["history", "--no-trunc", &image]).await;
    let labels = docker::docker(&["image", "inspect", &image]).await;
    let refused = refusals(&ann, id, &mut secrets).await;
    let (database, kept) = (database_dump(&env).await, redis_dump(&env).await);
    let network = docker::docker(&["network", "inspect", &container]).await;
    let client = clawdeploy_tests::http().build().unwrap();
    let metrics = client.get(format!("http://{metrics}/metrics")).send().await.unwrap().text().await.unwrap();
    killed(&env, id).await;
    let port = port(&env, id).await;
    deleted(&env, id).await;
    assert!(!listens(port).await);

    for (place, text) in [
        ("what waits in the database", waiting.as_str()),
        ("the database", &database),
        ("the database after the end", &database_dump(&env).await),
        ("Redis", &kept),
        ("the containers", &containers),
        ("arguments in the container, and its environment", &inside),
        ("what the gateway printed", &printed),
        ("what its owner is shown of that", &told),
        ("the network", &network),
        ("the image's history", &history),
        ("the image's labels and environment", &labels),
        ("metrics", &metrics),
        ("the worker's log", &env.worker(0).log()),
        ("the API's log", &env.api.log()),
        ("arguments of a process", &arguments.seen()),
    ] {
        secrets.assert_none_in(place, text);
    }
    for answer in &refused {
        assert!(answer.status.is_client_error(), "{} answered {} {}", answer.request, answer.status, answer.text);
        secrets.assert_none_in(&answer.request, &answer.text);
    }
    env.finish().await;
}

/// Checks that the gateway works and has the token that its owner sees. Returns the instance as its owner sees it.
async fn came_up(env: &TestEnv, ann: &Client, id: &str) -> Value {
    let (shown, port) = (ann.instance(id).await, port(env, id).await);
    assert_eq!(shown["dashboardUrl"], format!("http://127.0.0.1:{port}/"));
    let (status, page) = http(port, "/").await.expect("the dashboard");
    assert_eq!(status, 200);
    assert!(page.contains("<title>OpenClaw Control"), "{}", &page[..page.len().min(400)]);
    assert_eq!(http(port, "/readyz").await.map(|(status, _)| status), Some(200));
    let config: Value = serde_json::from_str(&config_file(env, id, "openclaw.json")).unwrap();
    assert_eq!(config["gateway"]["auth"]["token"], shown["gatewayToken"]);
    let limits = docker::inspect(&format!("claw-{id}"), "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}").await;
    assert_eq!(limits, format!("1000000000 {}", 2048_u64 << 20), "no longer the limits of its start");
    shown
}

/// Stops, changes settings and starts. The port, the token and the owner's files stay.
async fn stopped_and_started(env: &TestEnv, ann: &Client, id: &str, before: &Value) {
    let note = env.data_dir.join(id).join("workspace/note.txt");
    tokio::fs::write(&note, "mine").await.unwrap();
    let stop = ann.act(id, "stop").await;
    wait_job_within(env, &stop.job, "succeeded", BOOT).await;
    assert_eq!(instance(env, id).await["status"], "stopped");
    assert!(!listens(u16::try_from(before["port"].as_u64().unwrap()).unwrap()).await);
    ann.patch(&format!("/api/instances/{id}"), &json!({ "memoryMb": 3072 })).await.expect(200);
    let start = ann.act(id, "start").await;
    wait_job_within(env, &start.job, "succeeded", BOOT).await;
    let again = ann.instance(id).await;
    assert_eq!((&again["port"], &again["gatewayToken"]), (&before["port"], &before["gatewayToken"]));
    assert_eq!(http(port(env, id).await, "/readyz").await.map(|(status, _)| status), Some(200));
    assert_eq!(tokio::fs::read_to_string(&note).await.unwrap(), "mine");
}

/// Docker treats a manual kill like a stop.
async fn killed(env: &TestEnv, id: &str) {
    docker::docker(&["kill", "--signal", "KILL", &format!("claw-{id}")]).await;
    wait_status(env, id, "stopped", Duration::from_secs(15)).await;
}
