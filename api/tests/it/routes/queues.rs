//! The overview of the queues, and the reconciler on request.

use super::Site;
use clawdeploy_tests::cases::redacted;

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
    // The other queues are empty, and alike.
    let rest = shown["items"].as_array_mut().unwrap().split_off(2);
    assert_eq!(rest.len(), 2);
    for (queue, name) in rest.iter().zip(["rollouts", "warm"]) {
        let mut builds = shown["items"][1].clone();
        builds["queue"] = name.into();
        assert_eq!(*queue, builds);
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
        }
      ],
      "nextCursor": null
    }
    "#);
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    let shown = site.admin.get("/api/admin/queues").await.expect(200).json;
    let minutes = shown["items"][0]["minutes"].as_array().unwrap();
    // A job that was not claimed ends at once: in this minute, or in the one before by now.
    assert_eq!(minutes[58..].iter().filter_map(|minute| minute["cancelled"].as_i64()).sum::<i64>(), 1);
    site.env.finish().await;
}

#[tokio::test]
async fn reconcile_without_a_worker() {
    let site = Site::new().await;
    let answer = site.admin.post_empty("/api/admin/reconcile").await;
    assert_eq!(answer.brief(), "503 no_worker");
    site.env.finish().await;
}
