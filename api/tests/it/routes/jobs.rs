//! Cancelling jobs, and their event streams.

use std::time::Duration;

use serde_json::json;

use super::{NO_UUID, Site, bare};
use crate::support::log;
use clawdeploy_tests::cases::redacted;

#[tokio::test]
async fn cancel() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let of = |client, id: &str| bare(client, "POST", &format!("/api/jobs/{id}/cancel"));
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
    let answer = site.ann.send(of(&site.ann, &made.job)).await.expect(202);
    insta::assert_json_snapshot!(redacted(&answer.json), @r#"
    {
      "attempt": 0,
      "cancelRequested": true,
      "createdAt": "[time]",
      "dependsOn": null,
      "error": null,
      "finishedAt": "[time]",
      "id": "[uuid]",
      "instanceId": "[instance]",
      "kind": "provision",
      "ownerId": "[uuid]",
      "progress": 0,
      "runAt": "[time]",
      "startedAt": null,
      "status": "cancelled",
      "step": null
    }
    "#);
    insta::assert_snapshot!(site.refusals(vec![("once more", of(&site.ann, &made.job))]).await, @"once more: 409 job_finished");
    let audit = site.env.row("SELECT target_id, detail->>'kind' AS kind FROM audit WHERE action = 'job.cancel'").await;
    assert_eq!(audit, json!({ "target_id": made.job, "kind": "provision" }));
    site.env.finish().await;
}

/// Reads a stream to its end.
async fn told(request: reqwest::RequestBuilder) -> String {
    let response = request.header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(response.status(), 200);
    tokio::time::timeout(Duration::from_secs(30), response.text()).await.expect("the end of the stream").unwrap()
}

#[tokio::test]
async fn streams_end_with_the_api() {
    let mut site = Site::new().await;
    let made = site.ann.create("first").await;
    let path = format!("/api/jobs/{}/events", made.job);
    let reading = tokio::spawn(told(bare(&site.ann, "GET", &path)));
    streams(&site, 1).await;
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    let story = reading.await.unwrap();
    let (_, end) = story.rsplit_once("event:").unwrap();
    assert!(end.starts_with(" end") && end.contains("\"status\":\"cancelled\""), "{story}");

    let waiting = site.bob.create("second").await;
    let path = format!("/api/jobs/{}/events", waiting.job);
    let reading = tokio::spawn(told(bare(&site.bob, "GET", &path)));
    streams(&site, 2).await;
    // An open stream does not delay it.
    site.env.end().await;
    reading.await.unwrap();
    site.env.execute("UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE status = 'queued'").await;
    site.env.execute("DELETE FROM job_events").await;
    site.env.execute("DELETE FROM jobs").await;
    site.env.execute("DELETE FROM instances").await;
    site.env.finish().await;
}

/// Waits until this many event streams have started.
async fn streams(site: &Site, begun: usize) {
    let answered = "path=\"/api/jobs/{id}/events\" status=200";
    let all = async || (log().matches(answered).count() >= begun).then_some(());
    site.env.wait_for("the stream to begin", Duration::from_secs(20), all).await;
}
