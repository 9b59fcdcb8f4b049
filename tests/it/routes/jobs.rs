//! Jobs: single ones, their events as a list and as a stream, and the reason why they wait.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, TestEnv, WorkerOptions};
use serde_json::{Value, json};

use super::{NO_UUID, Site, bare};
use crate::support::{redacted, running, wait_job, wait_step};

#[tokio::test]
async fn show() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let path = format!("/api/jobs/{}", made.job);
    insta::assert_json_snapshot!(redacted(&site.ann.get(&path).await.expect(200).json), @r#"
    {
      "attempt": 1,
      "cancelRequested": false,
      "createdAt": "[time]",
      "dependsOn": null,
      "error": null,
      "finishedAt": "[time]",
      "id": "[uuid]",
      "instanceId": "[instance]",
      "kind": "provision",
      "ownerId": "[uuid]",
      "progress": 100,
      "queue": null,
      "runAt": "[time]",
      "startedAt": "[time]",
      "status": "succeeded",
      "step": "route",
      "steps": [
        {
          "durationMs": "[number]",
          "name": "find_image",
          "startedAt": "[time]",
          "status": "done"
        },
        {
          "durationMs": "[number]",
          "name": "reserve_port",
          "startedAt": "[time]",
          "status": "done"
        },
        {
          "durationMs": "[number]",
          "name": "create_directories",
          "startedAt": "[time]",
          "status": "done"
        },
        {
          "durationMs": "[number]",
          "name": "write_config",
          "startedAt": "[time]",
          "status": "done"
        },
        {
          "durationMs": "[number]",
          "name": "create_network",
          "startedAt": "[time]",
          "status": "done"
        },
        {
          "durationMs": "[number]",
          "name": "create_container",
          "startedAt": "[time]",
          "status": "done"
        },
        {
          "durationMs": "[number]",
          "name": "start_container",
          "startedAt": "[time]",
          "status": "done"
        },
        {
          "durationMs": "[number]",
          "name": "wait_until_ready",
          "startedAt": "[time]",
          "status": "done"
        },
        {
          "durationMs": "[number]",
          "name": "route",
          "startedAt": "[time]",
          "status": "done"
        }
      ]
    }
    "#);
    site.admin.get(&path).await.expect(200);
    let of = |client, id: &str| bare(client, "GET", &format!("/api/jobs/{id}"));
    let cases = vec![
        ("no token", of(&site.anon, &made.job)),
        ("somebody else's", of(&site.bob, &made.job)),
        ("one that is not there", of(&site.ann, NO_UUID)),
        ("no id", of(&site.ann, "x")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    ");
    site.env.finish().await;
}

/// A queued job shows what it waits for.
#[tokio::test]
async fn what_a_job_waits_for() {
    let site = Site::new().await;
    let (one, two) = (site.ann.create("one").await, site.bob.create("two").await);
    let place = async |client: &clawdeploy_tests::Client, job: &str| {
        client.get(&format!("/api/jobs/{job}")).await.expect(200).json["queue"].clone()
    };
    let shown = (place(&site.ann, &one.job).await, place(&site.bob, &two.job).await);
    assert_eq!((&shown.0["position"], &shown.1["position"]), (&json!(1), &json!(2)));
    assert_eq!(shown.0["waitsFor"], "worker");
    assert_eq!(shown.0["message"], "No worker is serving the lifecycle queue; the job starts when one does.");
    site.admin.post_empty("/api/admin/queues/lifecycle/pause").await.expect(200);
    let paused = place(&site.bob, &two.job).await;
    assert_eq!(paused["waitsFor"], "resume");
    assert_eq!(
        paused["message"],
        "An administrator paused the lifecycle queue; the job starts when an administrator resumes it."
    );
    site.admin.post_empty("/api/admin/queues/lifecycle/resume").await.expect(200);
    site.env.add_worker(&WorkerOptions::default()).await;
    wait_job(&site.env, &one.job, "succeeded").await;
    assert_eq!(place(&site.ann, &one.job).await, Value::Null);
    wait_job(&site.env, &two.job, "succeeded").await;
    site.env.finish().await;
}

#[tokio::test]
async fn events_in_pages() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let path = format!("/api/jobs/{}/events", made.job);
    let all = site.ann.get(&path).await.expect(200).json["items"].as_array().unwrap().clone();
    assert_eq!((&all[0]["kind"], &all.last().unwrap()["kind"]), (&json!("accepted"), &json!("finished")));
    let progress: Vec<_> = all.iter().filter_map(|event| event["progress"].as_i64()).collect();
    assert!(progress.is_sorted(), "{progress:?}");

    let (mut seen, mut page) = (Vec::new(), format!("{path}?limit=7"));
    loop {
        let json = site.ann.get(&page).await.expect(200).json;
        seen.extend(json["items"].as_array().unwrap().clone());
        let Some(cursor) = json["nextCursor"].as_str() else { break };
        page = format!("{path}?limit=7&cursor={cursor}");
    }
    assert_eq!(seen, all);
    let cases = vec![
        ("no token", bare(&site.anon, "GET", &path)),
        ("somebody else's", bare(&site.bob, "GET", &path)),
        ("one that is not there", bare(&site.ann, "GET", &format!("/api/jobs/{NO_UUID}/events"))),
        ("no id", bare(&site.ann, "GET", "/api/jobs/x/events")),
        ("a cursor that is none", bare(&site.ann, "GET", &format!("{path}?cursor=x"))),
        ("an event that is none", bare(&site.ann, "GET", &path).header("Last-Event-ID", "x")),
        ("somebody else's, as a stream", bare(&site.bob, "GET", &path).header("accept", "text/event-stream")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    a cursor that is none: 400 invalid_query cursor: invalid
    an event that is none: 400 invalid_header Last-Event-ID: invalid
    somebody else's, as a stream: 404 not_found
    ");
    site.env.finish().await;
}

/// The received part of a stream, as events: name, id and data.
struct Told {
    text: String,
}

impl Told {
    fn entries(&self) -> Vec<(String, Option<i64>, Value)> {
        let complete = self.text.rfind("\n\n").map_or("", |end| &self.text[..end]);
        let field = |entry: &str, name: &str| {
            entry
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
        };
        let entry = |entry: &str| {
            let data = serde_json::from_str(&field(entry, "data")?).unwrap();
            Some((field(entry, "event").unwrap_or_default(), field(entry, "id").and_then(|id| id.parse().ok()), data))
        };
        complete.split("\n\n").filter_map(entry).collect()
    }
}

/// Reads a stream until `enough` has arrived or it ends.
async fn read(request: reqwest::RequestBuilder, enough: impl Fn(&Told) -> bool) -> Told {
    let mut response = request.header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let mut told = Told { text: String::new() };
    let read = async {
        while !enough(&told) {
            let Some(chunk) = response.chunk().await.unwrap() else { break };
            told.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("the stream");
    told
}

#[tokio::test]
async fn events_as_they_happen() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Slow)).await;
    let made = site.ann.create("first").await;
    let path = format!("/api/jobs/{}/events", made.job);
    let stream = || bare(&site.ann, "GET", &path);
    // Interrupted while the gateway boots.
    let half = read(stream(), |told| told.text.contains("wait_until_ready")).await.entries();
    assert!(half.iter().all(|(name, ..)| name.is_empty()));
    let last = half.last().unwrap().1.unwrap();
    let rest = read(stream().header("Last-Event-ID", last), |_| false).await.entries();
    let (end, rest) = rest.split_last().unwrap();
    assert_eq!((end.0.as_str(), &end.2["status"]), ("end", &json!("succeeded")));

    // Both parts together are all events, each once.
    let told: Vec<_> = half.iter().chain(rest).map(|(_, _, data)| data.clone()).collect();
    let all = site.ann.get(&path).await.expect(200).json["items"].as_array().unwrap().clone();
    assert_eq!(told, all);
    site.env.finish().await;
}

/// What the owner sees of a failed job.
#[tokio::test]
async fn a_failure_is_told() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Never).ready(1.0)).await;
    let made = site.ann.create("first").await;
    wait_step(&site.env, &made.job, "wait_until_ready").await;
    wait_job(&site.env, &made.job, "failed").await;
    let shown = site.ann.get(&format!("/api/jobs/{}", made.job)).await.expect(200).json;
    let steps: Vec<_> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{} {}", step["name"].as_str().unwrap(), step["status"].as_str().unwrap()))
        .collect();
    insta::assert_snapshot!(steps.join("\n"), @r"
    find_image done
    reserve_port undone
    create_directories undone
    write_config done
    create_network undone
    create_container undone
    start_container done
    wait_until_ready failed
    ");
    insta::assert_json_snapshot!(redacted(&shown["error"]), @r#"
    {
      "code": "gateway_not_ready",
      "message": "The gateway did not answer within 1 s. Its last output:\nfake gateway: listening on 18789"
    }
    "#);
    site.env.finish().await;
}
