//! Lists of instances, single instances, renames and deletions.

use serde_json::{Value, json};

use super::{NO_INSTANCE, Site, bare, with};
use crate::support::{redacted, running, wait_job};

#[tokio::test]
async fn show() {
    let site = Site::with(clawdeploy_tests::TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    insta::assert_json_snapshot!(redacted(&site.ann.instance(&made.instance).await), @r#"
    {
      "aiProvider": "none",
      "asleep": null,
      "channel": "none",
      "cpuMillis": 1000,
      "createdAt": "[time]",
      "currentJob": null,
      "dashboardUrl": "[url]",
      "desiredState": "running",
      "diskBytes": null,
      "diskLimitBytes": null,
      "env": [],
      "error": null,
      "gatewayToken": "[token]",
      "id": "[instance]",
      "lastWake": null,
      "latestVersion": null,
      "memoryMb": 2048,
      "name": "first",
      "openclawVersion": "2026.9.6",
      "ownerId": "[uuid]",
      "pendingChanges": [],
      "port": "[port]",
      "sleepMinutes": null,
      "sleepsAfterMinutes": null,
      "status": "running",
      "statusChangedAt": "[time]",
      "updateAvailable": false,
      "updatedAt": "[time]",
      "vulnerable": false
    }
    "#);
    let of = |client, id: &str| bare(client, "GET", &format!("/api/instances/{id}"));
    let cases = vec![
        ("no token", of(&site.anon, &made.instance)),
        ("somebody else's", of(&site.bob, &made.instance)),
        ("one that is not there", of(&site.ann, NO_INSTANCE)),
        ("no id", of(&site.ann, "x")),
        ("an id in capitals", of(&site.ann, &made.instance.to_uppercase())),
        ("a way out", of(&site.ann, "..%2f..%2fetc%2fpasswd")),
        ("a null byte", of(&site.ann, "%00")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    an id in capitals: 400 invalid_path id: invalid
    a way out: 400 invalid_path id: invalid
    a null byte: 400 invalid_path id: invalid
    ");
    site.env.finish().await;
}

#[tokio::test]
async fn delete() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let of = |client, id: &str| bare(client, "DELETE", &format!("/api/instances/{id}"));
    let cases = vec![
        ("no token", of(&site.anon, &made.instance)),
        ("somebody else's", of(&site.bob, &made.instance)),
        ("one that is not there", of(&site.ann, NO_INSTANCE)),
        ("no id", of(&site.ann, "x")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    ");

    let deletion = site.ann.remove(&made.instance).await;
    assert_eq!(deletion.answer.header("location"), Some(format!("/api/jobs/{}", deletion.job).as_str()));
    insta::assert_json_snapshot!(redacted(&deletion.answer.json), @r#"
    {
      "instance": {
        "aiProvider": "none",
        "asleep": null,
        "channel": "none",
        "cpuMillis": 1000,
        "createdAt": "[time]",
        "currentJob": {
          "attempt": 0,
          "cancelRequested": false,
          "createdAt": "[time]",
          "dependsOn": null,
          "error": null,
          "finishedAt": null,
          "id": "[uuid]",
          "instanceId": "[instance]",
          "kind": "delete",
          "ownerId": "[uuid]",
          "progress": 0,
          "runAt": "[time]",
          "startedAt": null,
          "status": "queued",
          "step": null
        },
        "dashboardUrl": null,
        "desiredState": "deleted",
        "diskBytes": null,
        "diskLimitBytes": null,
        "env": [],
        "error": null,
        "gatewayToken": null,
        "id": "[instance]",
        "lastWake": null,
        "latestVersion": null,
        "memoryMb": 2048,
        "name": "first",
        "openclawVersion": null,
        "ownerId": "[uuid]",
        "pendingChanges": [],
        "port": null,
        "sleepMinutes": null,
        "sleepsAfterMinutes": null,
        "status": "pending",
        "statusChangedAt": "[time]",
        "updateAvailable": false,
        "updatedAt": "[time]",
        "vulnerable": false
      },
      "job": {
        "attempt": 0,
        "cancelRequested": false,
        "createdAt": "[time]",
        "dependsOn": null,
        "error": null,
        "finishedAt": null,
        "id": "[uuid]",
        "instanceId": "[instance]",
        "kind": "delete",
        "ownerId": "[uuid]",
        "progress": 0,
        "runAt": "[time]",
        "startedAt": null,
        "status": "queued",
        "step": null
      }
    }
    "#);
    // A repeated request returns the same job, and nothing else is accepted.
    let before = site.env.fingerprint().await;
    assert_eq!(site.ann.remove(&made.instance).await.job, deletion.job);
    assert_eq!(site.env.fingerprint().await, before);
    let start = bare(&site.ann, "POST", &format!("/api/instances/{}/start", made.instance));
    insta::assert_snapshot!(site.refusals(vec![("start", start)]).await, @"start: 409 job_in_progress");
    // The name becomes free when the instance is gone.
    let again = with(&site.ann, "POST", "/api/instances", &json!({ "name": "first" }));
    insta::assert_snapshot!(site.refusals(vec![("the name", again)]).await, @"the name: 409 name_taken name: taken");
    site.env.add_worker(&clawdeploy_tests::WorkerOptions::default()).await;
    wait_job(&site.env, &deletion.job, "succeeded").await;
    site.ann.create("first").await;
    site.env.finish().await;
}

#[tokio::test]
async fn jobs_of_an_instance() {
    let site = Site::with(clawdeploy_tests::TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    crate::support::done(&site.env, &made.instance, "restart").await;
    let path = format!("/api/instances/{}/jobs", made.instance);
    let all = site.ann.get(&path).await.expect(200).json;
    let kinds: Vec<_> = all["items"].as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["restart", "provision"]);
    let first = site.ann.get(&format!("{path}?limit=1")).await.expect(200).json;
    let second = format!("{path}?limit=1&cursor={}", first["nextCursor"].as_str().unwrap());
    assert_eq!(site.ann.get(&second).await.expect(200).json["items"][0]["id"], made.job.as_str());
    let cases = vec![
        ("no token", bare(&site.anon, "GET", &path)),
        ("somebody else's", bare(&site.bob, "GET", &path)),
        ("one that is not there", bare(&site.ann, "GET", &format!("/api/instances/{NO_INSTANCE}/jobs"))),
        ("no id", bare(&site.ann, "GET", "/api/instances/x/jobs")),
        ("a cursor that is none", bare(&site.ann, "GET", &format!("{path}?cursor=x"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    a cursor that is none: 400 invalid_query cursor: invalid
    ");
    site.env.finish().await;
}

/// Administrators see all instances, but not their credentials.
#[tokio::test]
async fn as_an_administrator_sees_them() {
    let site = Site::with(clawdeploy_tests::TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let own = site.ann.instance(&made.instance).await;
    let seen = site.admin.instance(&made.instance).await;
    assert_eq!((&seen["status"], &seen["gatewayToken"]), (&json!("running"), &Value::Null));
    assert!(own["gatewayToken"].is_string());
    let list = site.admin.get("/api/admin/instances").await.expect(200);
    assert_eq!(list.json["items"][0]["ownerEmail"], "ann@test.example");
    assert!(!list.text.contains(own["gatewayToken"].as_str().unwrap()));
    assert_eq!(site.admin.get("/api/instances").await.expect(200).json["items"], json!([]));
    site.env.finish().await;
}
