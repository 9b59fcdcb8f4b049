//! An instance falls asleep when nobody uses it and its agent has nothing to do, and wakes when it is needed.

use std::{fs, path::Path, time::Duration};

use clawdeploy_tests::{Image, TestEnv, client::Client, docker};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use super::booted;
use crate::support::{deleted, done, instance, job, wait_job_within};

/// Long enough for a minute in which nothing is said, and a look after it, on a busy machine.
const QUIET: Duration = Duration::from_mins(4);

/// A model that tells when it is asked, and says nothing until it may: a stand-in for a provider, as OpenClaw calls one.
async fn model(asked: watch::Sender<bool>, may: watch::Receiver<bool>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (asked, mut may) = (asked.clone(), may.clone());
            tokio::spawn(async move {
                let mut request = vec![0; 1 << 20];
                let _ = stream.read(&mut request).await;
                asked.send_replace(true);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = may.wait_for(|may| *may).await;
                let chunk = |delta: Value, reason: Value| {
                    let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
                    let chunk = json!({ "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "slow",
                        "choices": [choice] });
                    format!("data: {chunk}\n\n")
                };
                let said = chunk(json!({ "role": "assistant", "content": "Good morning." }), Value::Null)
                    + &chunk(json!({}), "stop".into())
                    + "data: [DONE]\n\n";
                let _ = stream.write_all(said.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, serving)
}

/// Has the instance use this model, as its owner could.
async fn use_model(file: &Path, address: &str) {
    let mut config: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    config["models"] = json!({ "mode": "merge", "providers": { "slow": {
        "baseUrl": format!("http://{address}/v1"), "apiKey": "none", "api": "openai-completions",
        "request": { "allowPrivateNetwork": true },
        "models": [{ "id": "slow", "name": "Slow", "reasoning": false, "input": ["text"],
            "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 }, "contextWindow": 128_000, "maxTokens": 4096 }],
    } } });
    config["agents"]["defaults"]["model"] = json!({ "primary": "slow/slow" });
    // In place, so that it stays its owner's.
    tokio::fs::write(file, config.to_string()).await.unwrap();
}

/// Has the next look come at once, and count as if the instance had been idle for an hour.
async fn long_idle(env: &TestEnv) {
    env.execute("UPDATE instances SET status_changed_at = now() - interval '2 hours'").await;
    env.execute("UPDATE idle_checks SET checked_at = '-infinity', idle_since = now() - interval '1 hour'").await;
}

async fn asleep(env: &TestEnv, ann: &Client, id: &str) -> Value {
    let sleeps = async || {
        let shown = ann.instance(id).await;
        (shown["status"] == "stopped" && shown["asleep"].is_object()).then_some(shown)
    };
    env.wait_for("the instance to fall asleep", QUIET, sleeps).await
}

#[tokio::test]
async fn an_idle_one_sleeps_and_a_busy_one_does_not() {
    let env = TestEnv::builder().image(Image::Real).ready(600.0).set("CLAWDEPLOY_SLEEP_MINUTES", "1");
    let env = env.set("CLAWDEPLOY_FROZEN_MINUTES", "600").build().await;
    let ann = env.user("ann").await;
    let made = ann.create("sleepy").await;
    booted(&env, &made).await;
    let id = &made.instance;
    let (may, allowed) = watch::channel(false);
    let (asks, mut asked) = watch::channel(false);
    let (port, model) = model(asks, allowed).await;
    let container = instance(&env, id).await["container_id"].as_str().unwrap().to_owned();
    let format = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    let host = docker::docker(&["inspect", "--format", format, &container]).await;
    use_model(&env.data_dir.join(id).join("config/openclaw.json"), &format!("{}:{port}", host.trim())).await;
    done(&env, id, "restart").await;

    // A list pairs our device with less than is needed to suspend the gateway.
    let devices = format!("/api/instances/{id}/devices");
    ann.get(&devices).await.expect(200);

    // While its agent waits for the model, it stays awake, however long nothing is said.
    let message = ["exec", &*container, "openclaw", "agent", "--agent", "main", "--message", "Hello", "--json"];
    let message: Vec<String> = message.map(str::to_owned).into();
    let turn =
        tokio::spawn(async move { docker::try_docker(&message.iter().map(String::as_str).collect::<Vec<_>>()).await });
    // Until then it is idle.
    timeout(QUIET, asked.wait_for(|asked| *asked)).await.expect("the model is asked in time").unwrap();
    let at_work = async || {
        long_idle(&env).await;
        env.worker(0).log().contains("The gateway is at work; it stays awake").then_some(())
    };
    env.wait_for("a look that finds it at work", QUIET, at_work).await;
    assert_eq!(instance(&env, id).await["status"], "running");
    may.send(true).unwrap();
    let said = turn.await.unwrap().expect("an answer");
    assert!(said.contains("Good morning."), "{said}");

    // A minute after that it sleeps.
    let long = async || {
        long_idle(&env).await;
        (ann.instance(id).await["status"] != "running").then_some(())
    };
    env.wait_for("it to be idle for long enough", QUIET, long).await;
    asleep(&env, &ann, id).await;
    let [state, started] =
        ["{{.State.Status}}", "{{.State.StartedAt}}"].map(|format| docker::inspect(&container, format));
    let (state, started) = tokio::join!(state, started);
    assert_eq!(state, "paused");

    // Its owner opens the dashboard.
    let link = format!("/api/instances/{id}/dashboard-link");
    let refused = ann.post_empty(&link).await;
    assert_eq!(refused.code(), "waking", "{}", refused.text);
    let wakes = refused.json["job"]["id"].as_str().unwrap().to_owned();
    wait_job_within(&env, &wakes, "succeeded", Duration::from_mins(4)).await;
    ann.post_empty(&link).await.expect(200);
    assert_eq!(ann.instance(id).await["lastWake"]["by"], "dashboard");
    assert_eq!(docker::inspect(&container, "{{.State.StartedAt}}").await, started, "it wakes without a boot");
    // Our device, which may do more by now, still lists the others.
    let failures = || env.worker(0).log().matches("The gateway did not list its devices").count();
    let before = failures();
    ann.get(&devices).await.expect(200);
    assert_eq!(failures(), before, "{}", env.worker(0).tail(50));

    // Its schedule is due, when it was stopped in the meantime.
    long_idle(&env).await;
    asleep(&env, &ann, id).await;
    env.execute("UPDATE idle_checks SET frozen_since = now() - interval '1 year'").await;
    let stopped = async || (docker::inspect(&container, "{{.State.Status}}").await == "exited").then_some(());
    env.wait_for("its gateway to be stopped", QUIET, stopped).await;
    env.execute("UPDATE instances SET wake_at = now()").await;
    let woken = async || (ann.instance(id).await["lastWake"]["by"] == "schedule").then_some(());
    env.wait_for("its schedule to wake it", Duration::from_secs(40), woken).await;
    let start = env.row("SELECT id FROM jobs WHERE kind = 'start' ORDER BY seq DESC LIMIT 1").await;
    let start = start["id"].as_str().unwrap().to_owned();
    wait_job_within(&env, &start, "succeeded", Duration::from_mins(4)).await;
    assert_eq!(job(&env, &start).await["requested_by"], Value::Null);
    model.abort();
    deleted(&env, id).await;
    env.finish().await;
}
