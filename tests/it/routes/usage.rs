//! Logs and usage of an instance.

use std::time::Duration;

use clawdeploy_tests::{Client, FakeMode, TestEnv, docker};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Site;
use crate::support::{done, running};

/// Time limit of an event on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// An event stream that is read step by step.
struct Events {
    response: reqwest::Response,
    text: String,
}

impl Events {
    async fn open(client: &Client, path: &str, last: Option<&str>) -> Self {
        let request = client.request(reqwest::Method::GET, path).header("accept", "text/event-stream");
        let request = last.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        Self { response, text: String::new() }
    }

    /// Id and data of the next event with this name.
    async fn next(&mut self, name: &str) -> (String, Value) {
        let read = async {
            loop {
                while let Some(end) = self.text.find("\n\n") {
                    let event: String = self.text.drain(..end + 2).collect();
                    let field = |name: &str| {
                        let value = event.lines().find_map(|line| line.strip_prefix(name));
                        value.unwrap_or_default().trim().to_owned()
                    };
                    let (kind, id, data) = (field("event:"), field("id:"), field("data:"));
                    if kind == name {
                        return (id, serde_json::from_str(&data).unwrap());
                    }
                }
                let piece = self.response.chunk().await.unwrap().expect("more events");
                self.text.push_str(std::str::from_utf8(&piece).unwrap());
            }
        };
        timeout(SOON, read).await.unwrap_or_else(|_| panic!("no event {name}"))
    }
}

/// Makes the first process of a container print something.
async fn print(instance: &str, text: &str) {
    let command = format!("printf '%b\\n' '{text}' >/proc/1/fd/1");
    docker::docker(&["exec", &format!("claw-{instance}"), "sh", "-c", &command]).await;
}

#[tokio::test]
async fn a_log_is_followed_resumed_and_downloaded_without_its_secrets() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Shell)).await;
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    let path = format!("/api/instances/{id}/logs");
    let mut events = Events::open(&site.ann, &path, None).await;
    let (first, line) = events.next("line").await;
    assert_eq!((&line["text"], &line["stream"]), (&json!("fake gateway: listening on 18789"), &json!("stdout")));
    let secret = site.ann.instance(id).await["gatewayToken"].as_str().unwrap().to_owned();
    print(id, &format!("the token \\033[31mis {secret} here")).await;
    let (second, line) = events.next("line").await;
    assert_eq!(line["text"], "the token is ••• here");
    assert!(first < second);
    // Interrupted and resumed: no line is lost or repeated.
    drop(events);
    print(id, "while nobody listened").await;
    let mut events = Events::open(&site.ann, &path, Some(&second)).await;
    assert_eq!(events.next("line").await.1["text"], "while nobody listened");

    let file = site.ann.get(&format!("{path}?tail=2")).await.expect(200);
    assert_eq!(file.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(file.header("content-disposition"), Some(format!("attachment; filename=\"{id}.log\"").as_str()));
    let lines: Vec<_> = file.text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["the token is ••• here", "while nobody listened"]);
    assert_eq!(site.ann.get(&format!("{path}?tail=10001")).await.brief(), "400 invalid_query tail: out_of_range");
    assert_eq!(site.ann.get(&format!("{path}?since=x")).await.status.as_u16(), 400);

    done(&site.env, id, "stop").await;
    events.next("end").await;
    let text = site.ann.get(&path).await.expect(200).text;
    assert!(text.contains("while nobody listened"), "a stopped gateway must still have its log: {text}");
    site.env.finish().await;
}

#[tokio::test]
async fn what_it_uses_now_and_has_used() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Shell)).await;
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    let mut events = Events::open(&site.ann, &format!("/api/instances/{id}/usage"), None).await;
    let (_, usage) = events.next("usage").await;
    let number = |usage: &Value, name: &str| usage[name].as_f64().unwrap_or_else(|| panic!("{name}: {usage}"));
    assert!(number(&usage, "memoryBytes") > 0.0 && number(&usage, "pids") >= 1.0, "{usage}");
    assert_eq!(usage["memoryLimitBytes"], 2048_u64 << 20);
    assert!(number(&usage, "diskBytes") > 0.0 && number(&usage, "cpuPercent") >= 0.0, "{usage}");
    // Make the container busy.
    docker::docker(&["exec", "-d", &format!("claw-{id}"), "timeout", "20", "sh", "-c", "while :; do :; done"]).await;
    let mut busy = 0.0;
    for _ in 0..10 {
        busy = number(&events.next("usage").await.1, "cpuPercent");
        if busy > 5.0 {
            break;
        }
    }
    assert!(busy > 5.0, "{busy}");

    let old = "SELECT at FROM instance_usage WHERE at < now() - interval '1 day'";
    let long_ago = format!("VALUES ('{id}', now() - interval '25 hours', 0, 0, 0, 0, 0, 0, 0)");
    site.env.execute(&format!("INSERT INTO instance_usage {long_ago}")).await;
    let history = format!("/api/instances/{id}/usage/history");
    let noted = async || {
        let points = site.ann.get(&history).await.expect(200).json["points"].clone();
        let points = points.as_array().filter(|points| !points.is_empty()).cloned()?;
        site.env.rows(old).await.is_empty().then_some(points)
    };
    let points = site.env.wait_for("a point, and for the old one to go", Duration::from_secs(30), noted).await;
    assert_eq!(points[0]["memoryLimitBytes"], 2048_u64 << 20);
    assert!(points[0]["at"].as_str().unwrap().ends_with(":00Z"), "{points:?}");
    // The stream of a suspended user ends.
    let revoked = "UPDATE users SET suspended_at = now() WHERE email = 'ann@test.example'";
    site.env.execute(revoked).await;
    let ended = timeout(Duration::from_secs(3), async { while let Ok(Some(_)) = events.response.chunk().await {} });
    ended.await.expect("the stream to end");
    site.env.finish().await;
}
