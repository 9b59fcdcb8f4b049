//! Administration: jobs, workers, images, the audit log.

use serde_json::json;

use super::{NO_UUID, Site, bare, with};
use clawdeploy_tests::cases::redacted;

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
        "message": "No worker is serving the lifecycle queue; the job starts when one does.",
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
      "undoOutcome": null,
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
    assert_eq!(of("100%25").await, "Work 100%", "special characters of a pattern must be literal");
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
