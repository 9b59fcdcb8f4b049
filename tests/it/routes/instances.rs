//! Lists of instances, single ones, new names, and deletes.

use serde_json::{Value, json};

use super::{NO_INSTANCE, Site, bare, with};
use crate::support::{redacted, running, wait_job};

async fn cancel(site: &Site, job: &str) {
    site.ann.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
}

#[tokio::test]
async fn show() {
    let site = Site::with(clawdeploy_tests::TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    insta::assert_json_snapshot!(redacted(&site.ann.instance(&made.instance).await), @r#"
    {
      "aiProvider": "none",
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
      "latestVersion": null,
      "memoryMb": 2048,
      "name": "first",
      "openclawVersion": "2026.9.6",
      "ownerId": "[uuid]",
      "pendingChanges": [],
      "port": "[port]",
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
async fn list_in_pages() {
    let site = Site::new().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(site.ann.create(&format!("number {n}")).await);
    }
    site.env.execute("UPDATE instances SET created_at = now()").await;
    let (mut seen, mut path) = (Vec::new(), "/api/instances?limit=2".to_owned());
    loop {
        let page = site.ann.get(&path).await.expect(200).json;
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        assert!(items.iter().all(|item| item["gatewayToken"] == Value::Null));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/instances?limit=2&cursor={cursor}");
    }
    let mut all: Vec<_> = made.iter().map(|accepted| accepted.instance.clone()).collect();
    all.sort();
    let mut sorted = seen.clone();
    sorted.sort();
    assert_eq!(sorted, all, "each exactly once, even where all were made in the same moment");

    let of = |query: &str| bare(&site.ann, "GET", &format!("/api/instances?{query}"));
    let cases = vec![
        ("no token", bare(&site.anon, "GET", "/api/instances")),
        ("limit 0", of("limit=0")),
        ("limit 101", of("limit=101")),
        ("a limit that is no number", of("limit=x")),
        ("another list's cursor", of("cursor=MTIz")),
        ("a cursor that is none", of("cursor=%00%00")),
        ("a parameter that is not known", of("page=2")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    limit 0: 400 invalid_query limit: out_of_range
    limit 101: 400 invalid_query limit: out_of_range
    a limit that is no number: 400 invalid_query limit: invalid
    another list's cursor: 400 invalid_query cursor: invalid
    a cursor that is none: 400 invalid_query cursor: invalid
    a parameter that is not known: 400 invalid_query page: unknown_field
    ");
    for accepted in made {
        cancel(&site, &accepted.job).await;
    }
    site.env.finish().await;
}

#[tokio::test]
async fn rename() {
    let site = Site::new().await;
    let (one, two) = (site.ann.create("one").await, site.ann.create("two").await);
    let path = format!("/api/instances/{}", one.instance);
    let renamed = site.ann.patch(&path, &json!({ "name": " 1 " })).await.expect(200).json;
    assert_eq!((&renamed["name"], &renamed["id"]), (&json!("1"), &json!(one.instance)));
    let audit = site.env.row("SELECT detail, actor FROM audit WHERE action = 'instance.rename'").await;
    assert_eq!(audit, json!({ "detail": { "from": "one", "to": "1" }, "actor": "ann@test.example" }));
    // The name that it has, and nothing at all, are no changes.
    let before = site.env.fingerprint().await;
    for same in [json!({ "name": "1" }), json!({})] {
        site.ann.patch(&path, &same).await.expect(200);
    }
    assert_eq!(site.env.fingerprint().await, before);

    let named = |name: &str| json!({ "name": name });
    let cases = vec![
        ("no token", with(&site.anon, "PATCH", &path, &named("x"))),
        ("somebody else's", with(&site.bob, "PATCH", &path, &named("x"))),
        ("one that is not there", with(&site.ann, "PATCH", &format!("/api/instances/{NO_INSTANCE}"), &named("x"))),
        ("a name that is taken", with(&site.ann, "PATCH", &path, &named("two"))),
        ("an empty name", with(&site.ann, "PATCH", &path, &named(""))),
        ("a name of 65 characters", with(&site.ann, "PATCH", &path, &named(&"x".repeat(65)))),
        ("another field", with(&site.ann, "PATCH", &path, &json!({ "status": "running" }))),
        ("no body", bare(&site.ann, "PATCH", &path)),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    a name that is taken: 409 name_taken name: taken
    an empty name: 422 validation_failed name: required
    a name of 65 characters: 422 validation_failed name: too_long
    another field: 400 unknown_field status: unknown_field
    no body: 415 unsupported_media_type
    ");
    for made in [one, two] {
        cancel(&site, &made.job).await;
    }
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
        "latestVersion": null,
        "memoryMb": 2048,
        "name": "first",
        "openclawVersion": null,
        "ownerId": "[uuid]",
        "pendingChanges": [],
        "port": null,
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
    // Asked again it is the same job; nothing else is possible any more.
    let before = site.env.fingerprint().await;
    assert_eq!(site.ann.remove(&made.instance).await.job, deletion.job);
    assert_eq!(site.env.fingerprint().await, before);
    let start = bare(&site.ann, "POST", &format!("/api/instances/{}/start", made.instance));
    insta::assert_snapshot!(site.refusals(vec![("start", start)]).await, @"start: 409 job_in_progress");
    // Its name is free when it is gone, and not before.
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
