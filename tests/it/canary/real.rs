//! The same with OpenClaw itself, whose logs, arguments and files the stand-in does not have.

use std::time::Duration;

use clawdeploy_tests::{Image, TestEnv, WorkerOptions, docker, terminal::Terminal};
use serde_json::json;

use super::{
    Arguments, Secrets, changes, database_dump, form,
    places::{processes_of, redis_dump},
    refusals,
};
use crate::support::{deleted, wait_job_within};

/// A boot takes a quarter of a minute on two free cores.
const BOOT: Duration = Duration::from_mins(4);

#[tokio::test]
async fn no_secret_is_told_in_the_life_of_a_real_gateway() {
    let arguments = Arguments::watch();
    let mut secrets = Secrets::default();
    let env = TestEnv::builder().image(Image::Real).ready(180.0).workers(0).build().await;
    let metrics = format!("127.0.0.1:{}", env.slot.api_port(2));
    env.add_worker(&WorkerOptions::default().set("CLAWDEPLOY_METRICS_LISTEN", &metrics)).await;
    let ann = env.user("ann").await;
    secrets.add("the token of whoever asks", ann.token().unwrap());

    // Bots of channels would call the platforms that they are of; the second set of secrets is of a provider only.
    let mut with = form(&mut secrets);
    with["channel"] = json!("none");
    with.as_object_mut().unwrap().remove("botToken");
    let made = ann.create_with(&with).await;
    wait_job_within(&env, &made.job, "succeeded", BOOT).await;
    let (id, container) = (&made.instance, format!("claw-{}", made.instance));
    let shown = ann.instance(id).await;
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
    let asked = ann.patch(&path, &json!({ "memoryMb": 3072, "applyNow": true })).await.accepted();
    wait_job_within(&env, &asked.job, "succeeded", BOOT).await;
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
    deleted(&env, id).await;

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
