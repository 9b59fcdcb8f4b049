//! Queues that are paused, and the reconciler on request.

use clawdeploy_tests::{TestEnv, WorkerOptions};
use serde_json::json;

use super::{Site, bare};
use crate::support::{job, redacted, running, wait_job};

fn queue(site: &Site, queue: &str, verb: &str) -> reqwest::RequestBuilder {
    bare(&site.admin, "POST", &format!("/api/admin/queues/{queue}/{verb}"))
}

#[tokio::test]
async fn what_waits() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let mut shown = redacted(&site.admin.get("/api/admin/queues").await.expect(200).json);
    for place in ["/items/0/oldestWaitingSeconds", "/items/0/kinds/0/oldestWaitingSeconds"] {
        *shown.pointer_mut(place).unwrap() = "[seconds]".into();
    }
    for queue in shown["items"].as_array_mut().unwrap() {
        let minutes = queue.as_object_mut().unwrap().remove("minutes").unwrap();
        assert_eq!(minutes.as_array().map(Vec::len), Some(60));
    }
    insta::assert_json_snapshot!(shown, @r#"
    {
      "items": [
        {
          "delayed": 0,
          "failedLastDay": 0,
          "kinds": [
            {
              "delayed": 0,
              "failedLastDay": 0,
              "kind": "provision",
              "lastHour": {
                "cancelled": 0,
                "failed": 0,
                "runSeconds": null,
                "succeeded": 0,
                "waitSeconds": null
              },
              "oldestWaitingSeconds": "[seconds]",
              "running": 0,
              "waiting": 1
            }
          ],
          "lastHour": {
            "cancelled": 0,
            "failed": 0,
            "runSeconds": null,
            "succeeded": 0,
            "waitSeconds": null
          },
          "oldestWaitingSeconds": "[seconds]",
          "pausedAt": null,
          "queue": "lifecycle",
          "running": 0,
          "waiting": 1,
          "workers": 0
        },
        {
          "delayed": 0,
          "failedLastDay": 0,
          "kinds": [],
          "lastHour": {
            "cancelled": 0,
            "failed": 0,
            "runSeconds": null,
            "succeeded": 0,
            "waitSeconds": null
          },
          "oldestWaitingSeconds": null,
          "pausedAt": null,
          "queue": "builds",
          "running": 0,
          "waiting": 0,
          "workers": 0
        },
        {
          "delayed": 0,
          "failedLastDay": 0,
          "kinds": [],
          "lastHour": {
            "cancelled": 0,
            "failed": 0,
            "runSeconds": null,
            "succeeded": 0,
            "waitSeconds": null
          },
          "oldestWaitingSeconds": null,
          "pausedAt": null,
          "queue": "rollouts",
          "running": 0,
          "waiting": 0,
          "workers": 0
        }
      ],
      "nextCursor": null
    }
    "#);
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    let shown = site.admin.get("/api/admin/queues").await.expect(200).json;
    let minutes = shown["items"][0]["minutes"].as_array().unwrap();
    // An untouched job ends at once: in this minute, or in the last one by now.
    assert_eq!(minutes[58..].iter().filter_map(|minute| minute["cancelled"].as_i64()).sum::<i64>(), 1);
    site.env.finish().await;
}

#[tokio::test]
async fn pause_and_resume() {
    let site = Site::with(TestEnv::builder()).await;
    let first = running(&site.env, "first").await;
    let paused = site.admin.send(queue(&site, "lifecycle", "pause")).await.expect(200).json;
    assert_eq!(paused["queue"], "lifecycle");
    let before = site.env.fingerprint().await;
    site.admin.send(queue(&site, "lifecycle", "pause")).await.expect(200);
    assert_eq!(site.env.fingerprint().await, before, "asked again, nothing changes");

    let made = site.ann.create("second").await;
    // What nobody may take is still there after several sweeps, also for a worker that comes later.
    site.env.add_worker(&WorkerOptions::default()).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(job(&site.env, &made.job).await["attempt"], 0);
    site.admin.send(queue(&site, "lifecycle", "resume")).await.expect(200);
    wait_job(&site.env, &made.job, "succeeded").await;
    let actions = site.env.rows("SELECT action FROM audit WHERE action LIKE 'queue.%' ORDER BY id").await;
    assert_eq!(actions, [json!({ "action": "queue.pause" }), json!({ "action": "queue.resume" })]);
    let cases = vec![
        ("a queue that is not there", queue(&site, "coffee", "pause")),
        ("not an administrator", bare(&site.ann, "POST", "/api/admin/queues/builds/pause")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    a queue that is not there: 404 not_found
    not an administrator: 403 admin_only
    ");
    crate::support::done(&site.env, &first.instance, "stop").await;
    site.env.finish().await;
}

#[tokio::test]
async fn reconcile_without_a_worker() {
    let site = Site::new().await;
    let answer = site.admin.post_empty("/api/admin/reconcile").await;
    assert_eq!(answer.brief(), "503 no_worker");
    site.env.finish().await;
}
