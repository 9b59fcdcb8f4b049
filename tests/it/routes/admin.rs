//! What administrators see and do: jobs, workers, images, the audit log.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, TestEnv};
use serde_json::{Value, json};

use super::{NO_UUID, Site, bare, with};
use crate::support::{redacted, running, wait_job};

#[tokio::test]
async fn jobs() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    crate::support::done(&site.env, &made.instance, "stop").await;
    let list = async |query: &str| {
        let all = site.admin.get(&format!("/api/admin/jobs{query}")).await.expect(200).json;
        let kinds = all["items"].as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap().to_owned());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!(list("").await, ["stop", "provision"]);
    assert_eq!(list("?kind=provision").await, ["provision"]);
    assert_eq!(list("?status=failed").await, Vec::<String>::new());
    assert_eq!(list(&format!("?instance={}&limit=1", made.instance)).await, ["stop"]);
    let of = |query: &str| bare(&site.admin, "GET", &format!("/api/admin/jobs?{query}"));
    let cases = vec![
        ("another status", of("status=lost")),
        ("another kind", of("kind=make_coffee")),
        ("no instance", of("instance=x")),
        ("limit 0", of("limit=0")),
        ("not an administrator", bare(&site.ann, "GET", "/api/admin/jobs")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    another status: 400 invalid_query status: invalid
    another kind: 400 invalid_query kind: invalid
    no instance: 400 invalid_query instance: invalid
    limit 0: 400 invalid_query limit: out_of_range
    not an administrator: 403 admin_only
    ");
    site.env.finish().await;
}

#[tokio::test]
async fn the_story_of_a_job() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let path = format!("/api/admin/jobs/{}", made.job);
    insta::assert_json_snapshot!(redacted(&site.admin.get(&path).await.expect(200).json), @r#"
    {
      "attempt": 0,
      "cancelRequested": false,
      "cancelRequestedAt": null,
      "crashes": 0,
      "createdAt": "[time]",
      "dependsOn": null,
      "error": null,
      "events": [
        {
          "attempt": 0,
          "createdAt": "[time]",
          "durationMs": null,
          "id": 1,
          "kind": "accepted",
          "message": "Accepted",
          "progress": null,
          "step": null
        }
      ],
      "failures": 0,
      "finishedAt": null,
      "id": "[uuid]",
      "instanceId": "[instance]",
      "instanceName": "first",
      "kind": "provision",
      "lease": null,
      "moreEvents": false,
      "ownerEmail": "ann@test.example",
      "ownerId": "[uuid]",
      "payload": {},
      "progress": 0,
      "queue": {
        "message": "No worker is serving the lifecycle queue; the job begins as soon as one does.",
        "position": 1,
        "queue": "lifecycle",
        "waitsFor": "worker",
        "workers": 0
      },
      "requestId": "[request]",
      "requestedBy": "[uuid]",
      "requestedByEmail": "ann@test.example",
      "runAt": "[time]",
      "startedAt": null,
      "status": "queued",
      "step": null,
      "steps": [],
      "unwindingTo": null
    }
    "#);
    let cases = vec![
        ("one that is not there", bare(&site.admin, "GET", &format!("/api/admin/jobs/{NO_UUID}"))),
        ("no id", bare(&site.admin, "GET", "/api/admin/jobs/x")),
        ("not an administrator", bare(&site.ann, "GET", &path)),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    not an administrator: 403 admin_only
    ");
    site.admin.post_empty(&format!("{path}/cancel")).await.expect(202);
    site.env.finish().await;
}

#[tokio::test]
async fn retry_and_drop() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Exit78)).await;
    let made = site.ann.create("first").await;
    let path = format!("/api/admin/jobs/{}", made.job);
    let early = site.admin.post_empty(&format!("{path}/retry")).await;
    assert_eq!(early.status.as_u16(), 409, "{}", early.text);
    wait_job(&site.env, &made.job, "failed").await;
    let retried = site.admin.post_empty(&format!("{path}/retry")).await.expect(202).json;
    assert!(matches!(retried["status"].as_str(), Some("queued" | "running")));
    wait_job(&site.env, &made.job, "failed").await;
    let cases = vec![
        ("retry of one that is not there", bare(&site.admin, "POST", &format!("/api/admin/jobs/{NO_UUID}/retry"))),
        ("drop of one that is not there", bare(&site.admin, "DELETE", &format!("/api/admin/jobs/{NO_UUID}"))),
        ("drop by its owner", bare(&site.ann, "DELETE", &path)),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    retry of one that is not there: 404 not_found
    drop of one that is not there: 404 not_found
    drop by its owner: 403 admin_only
    ");
    site.admin.delete(&path).await.expect(204);
    assert_eq!(site.env.rows("SELECT id FROM jobs").await, Vec::<Value>::new());
    assert_eq!(site.env.rows("SELECT id FROM job_events").await, Vec::<Value>::new());
    site.ann.instance(&made.instance).await;
    let actions = site.env.rows("SELECT action FROM audit WHERE target_kind = 'job' ORDER BY id").await;
    assert_eq!(actions, [json!({ "action": "job.retry" }), json!({ "action": "job.drop" })]);
    crate::support::deleted(&site.env, &made.instance).await;
    site.env.finish().await;
}

#[tokio::test]
async fn what_succeeded_is_neither_retried_nor_dropped() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let path = format!("/api/admin/jobs/{}", made.job);
    let cases = vec![
        ("retry", bare(&site.admin, "POST", &format!("{path}/retry"))),
        ("drop", bare(&site.admin, "DELETE", &path)),
        ("cancel", bare(&site.admin, "POST", &format!("{path}/cancel"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    retry: 409 job_not_retryable
    drop: 409 job_not_dead
    cancel: 409 job_finished
    ");
    site.env.finish().await;
}

#[tokio::test]
async fn a_worker_is_drained() {
    let site = Site::with(TestEnv::builder().workers(2)).await;
    let listed = async || {
        let items = site.admin.get("/api/admin/workers").await.expect(200).json["items"].as_array()?.clone();
        (items.len() == 2).then_some(items)
    };
    let workers = site.env.wait_for("both workers", Duration::from_secs(10), listed).await;
    insta::assert_json_snapshot!(redacted(&workers[0]), @r#"
    {
      "alive": true,
      "concurrency": 6,
      "dockerError": null,
      "drainRequestedAt": null,
      "draining": false,
      "heartbeatAt": "[time]",
      "host": "[this]",
      "id": "[worker]",
      "pid": "[number]",
      "queues": [
        "lifecycle",
        "builds",
        "rollouts"
      ],
      "running": 0,
      "standby": null,
      "startedAt": "[time]",
      "version": "[this]"
    }
    "#);
    let id = workers[0]["id"].as_str().unwrap();
    let cases = vec![
        ("one that is not there", bare(&site.admin, "POST", "/api/admin/workers/nobody/drain")),
        ("a null byte", bare(&site.admin, "POST", "/api/admin/workers/%00/drain")),
        ("not an administrator", bare(&site.ann, "POST", &format!("/api/admin/workers/{id}/drain"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    one that is not there: 404 not_found
    a null byte: 404 not_found
    not an administrator: 403 admin_only
    ");
    site.admin.post_empty(&format!("/api/admin/workers/{id}/drain")).await.expect(202);
    let pid = i32::try_from(workers[0]["pid"].as_i64().unwrap()).unwrap();
    let process = site.env.workers().into_iter().find(|worker| worker.pid() == pid).unwrap();
    assert!(process.ended_within(Duration::from_secs(15)).await.success());
    // The other one goes on.
    running(&site.env, "first").await;
    site.env.finish().await;
}

#[tokio::test]
async fn the_audit_log() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    let page = site.admin.get("/api/admin/audit?limit=1").await.expect(200).json;
    insta::assert_json_snapshot!(redacted(&page), @r#"
    {
      "items": [
        {
          "action": "job.cancel",
          "actor": "ann@test.example",
          "actorId": "[uuid]",
          "at": "[time]",
          "clientIp": "127.0.0.1",
          "detail": {
            "instanceId": "[instance]",
            "kind": "provision"
          },
          "id": 2,
          "outcome": "success",
          "ownerId": "[uuid]",
          "requestId": "[request]",
          "targetId": "[uuid]",
          "targetKind": "job"
        }
      ],
      "nextCursor": "[cursor]"
    }
    "#);
    let next = format!("/api/admin/audit?limit=1&cursor={}", page["nextCursor"].as_str().unwrap());
    assert_eq!(site.admin.get(&next).await.expect(200).json["items"][0]["action"], "instance.create");
    let cases = vec![("not an administrator", bare(&site.ann, "GET", "/api/admin/audit"))];
    insta::assert_snapshot!(site.refusals(cases).await, @"not an administrator: 403 admin_only");
    site.env.finish().await;
}

#[tokio::test]
async fn the_image() {
    let site = Site::new().await;
    let path = "/api/admin/image/rebuild";
    let form = |form| with(&site.admin, "POST", path, &form);
    let cases = vec![
        ("another source", form(json!({ "source": "ftp" }))),
        ("a branch that is an option", form(json!({ "source": "git", "reference": "--upload-pack=x" }))),
        ("an image that is none", form(json!({ "source": "registry", "reference": "A B" }))),
        ("a reference of no source", form(json!({ "reference": "main" }))),
        ("a version that is none", form(json!({ "version": "latest" }))),
        ("a version with a command", form(json!({ "version": "1;rm -rf /" }))),
        ("another field", form(json!({ "tag": "evil" }))),
        ("not an administrator", with(&site.ann, "POST", path, &json!({}))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    another source: 422 validation_failed source: unknown_value
    a branch that is an option: 422 validation_failed reference: invalid
    an image that is none: 422 validation_failed reference: invalid
    a reference of no source: 422 validation_failed reference: invalid
    a version that is none: 422 validation_failed version: invalid
    a version with a command: 422 validation_failed version: invalid
    another field: 400 unknown_field tag: unknown_field
    not an administrator: 403 admin_only
    ");
    let asked = site.admin.post_empty(path).await.expect(202);
    insta::assert_json_snapshot!(redacted(&asked.json), @r#"
    {
      "job": {
        "attempt": 0,
        "cancelRequested": false,
        "createdAt": "[time]",
        "dependsOn": null,
        "error": null,
        "finishedAt": null,
        "id": "[uuid]",
        "instanceId": null,
        "kind": "rebuild_image",
        "ownerId": null,
        "progress": 0,
        "runAt": "[time]",
        "startedAt": null,
        "status": "queued",
        "step": null
      },
      "joined": false
    }
    "#);
    let again = site.admin.post(path, &json!({})).await.expect(202).json;
    assert_eq!((&again["joined"], &again["job"]["id"]), (&json!(true), &asked.json["job"]["id"]));
    let other = site.admin.post(path, &json!({ "source": "registry" })).await;
    assert_eq!((other.status.as_u16(), other.code()), (409, "job_in_progress"));
    assert_eq!(site.admin.get("/api/admin/images").await.expect(200).json["items"], json!([]));
    for of in ["", "/log"] {
        let missing = site.admin.get(&format!("/api/admin/images/{NO_UUID}{of}")).await;
        assert_eq!((missing.status.as_u16(), missing.code()), (404, "not_found"));
    }
    let job = asked.json["job"]["id"].as_str().unwrap();
    site.admin.post_empty(&format!("/api/admin/jobs/{job}/cancel")).await.expect(202);
    // The next one is a new job.
    let next = site.admin.post_empty(path).await.expect(202).json;
    assert_eq!(next["joined"], false);
    let next = next["job"]["id"].as_str().unwrap();
    site.admin.post_empty(&format!("/api/admin/jobs/{next}/cancel")).await.expect(202);
    site.env.finish().await;
}

#[tokio::test]
async fn instances_are_found_by_name_id_owner_and_status() {
    let site = Site::new().await;
    let mut made = Vec::new();
    for (client, name) in [(&site.ann, "Work 100%"), (&site.bob, "work 1000"), (&site.ann, "home")] {
        made.push((client, client.create(name).await));
    }
    let found = async |query: &str| {
        let list = site.admin.get(&format!("/api/admin/instances?{query}")).await.expect(200).json;
        let names = list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>().join(", "), list["nextCursor"].as_str().map(str::to_owned))
    };
    let of = async |q: &str| found(&format!("q={q}")).await.0;
    assert_eq!(of("+").await, "home, work 1000, Work 100%");
    assert_eq!(of("WORK").await, "work 1000, Work 100%");
    assert_eq!(of("100%25").await, "Work 100%", "what means something in a pattern is but a text");
    assert_eq!(of(&made[1].1.instance[2..].to_uppercase()).await, "work 1000");
    assert_eq!(of("ann@test").await, "home, Work 100%");
    assert_eq!(of("nobody").await, "");
    let (first, cursor) = found("q=ann@&limit=1").await;
    let (second, end) = found(&format!("q=ann@&limit=1&cursor={}", cursor.unwrap())).await;
    assert_eq!((first.as_str(), second.as_str(), end), ("home", "Work 100%", None));
    let asked =
        |client: &clawdeploy_tests::Client, query: &str| bare(client, "GET", &format!("/api/admin/instances?{query}"));
    assert_eq!(found("status=pending,error&q=work").await.0, "work 1000, Work 100%");
    assert_eq!(found("status=running").await.0, "");
    let cases = vec![
        ("no token", asked(&site.anon, "q=x")),
        ("another status", asked(&site.admin, "status=pending,lost")),
        ("no administrator", asked(&site.ann, "q=x")),
        ("too long", asked(&site.admin, &format!("q={}", "x".repeat(201)))),
        ("a control character", asked(&site.admin, "q=a%00")),
        ("another parameter", asked(&site.admin, "name=x")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    another status: 400 invalid_query status: invalid
    no administrator: 403 admin_only
    too long: 400 invalid_query q: invalid
    a control character: 400 invalid_query q: invalid
    another parameter: 400 invalid_query name: unknown_field
    ");
    for (client, made) in &made {
        client.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    }
    site.env.finish().await;
}

/// A build that cannot succeed says why, and leaves the image in use alone.
#[tokio::test]
async fn a_build_that_fails() {
    let base = "clawdeploy-test-no-such-registry.invalid/base:1";
    let site = Site::with(TestEnv::builder().set("CLAWDEPLOY_OPENCLAW_BASE_IMAGE", base)).await;
    let before =
        clawdeploy_tests::docker::docker(&["image", "inspect", "--format", "{{.Id}}", &FakeMode::Ok.image()]).await;
    let job = site.admin.post_empty("/api/admin/image/rebuild").await.expect(202).json;
    let job = job["job"]["id"].as_str().unwrap().to_owned();
    // It would be tried again after a while: a registry may come back.
    let failed = async || {
        let images = site.admin.get("/api/admin/images").await.json["items"].clone();
        (images[0]["status"] == "failed").then(|| images[0].clone())
    };
    let build = site.env.wait_for("the build to fail", Duration::from_mins(1), failed).await;
    assert!(build["errorMessage"].as_str().unwrap().contains(base), "{build}");
    let after =
        clawdeploy_tests::docker::docker(&["image", "inspect", "--format", "{{.Id}}", &FakeMode::Ok.image()]).await;
    assert_eq!(after, before);
    site.admin.post_empty(&format!("/api/admin/jobs/{job}/cancel")).await;
    let over = async || {
        (!matches!(crate::support::job(&site.env, &job).await["status"].as_str(), Some("queued" | "running")))
            .then_some(())
    };
    site.env.wait_for("its end", Duration::from_secs(30), over).await;
    site.env.finish().await;
}
