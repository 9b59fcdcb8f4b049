//! Updates, rollbacks, changed settings, rollouts, and the version policy.

use clawdeploy_tests::{Client, FakeMode, Hold, TestEnv, WorkerOptions};
use serde_json::{Value, json};

use super::{NO_INSTANCE, NO_UUID, Site, bare, with};
use crate::{
    support::{deleted, done, instance, redacted, running, wait_job},
    update::support::{image_id, on, retire, with_newer},
};

const ONLY: fn() -> Value = || json!({ "rebuild": false });

fn update(client: &Client, instance: &str, body: &Value) -> reqwest::RequestBuilder {
    with(client, "POST", &format!("/api/instances/{instance}/update"), body)
}

/// Updates that wait for a build share one job per instance and one build, however often they are requested.
#[tokio::test]
async fn updates_share_one_build() {
    let site = Site::with(TestEnv::builder()).await;
    let made = [running(&site.env, "one").await, running(&site.env, "two").await];
    retire(&site.env).await;
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (ann, id) = (site.ann.clone(), made[n % 2].instance.clone());
        asked.spawn(async move { ann.send(update(&ann, &id, &json!({}))).await.expect(202).accepted().job });
    }
    let mut jobs = asked.join_all().await;
    jobs.sort();
    jobs.dedup();
    assert_eq!(jobs.len(), 2, "there must be one job for each instance");
    let builds = site.env.rows("SELECT id FROM jobs WHERE kind = 'rebuild_image'").await;
    assert_eq!(builds.len(), 1);
    let shown = site.ann.get(&format!("/api/jobs/{}", jobs[0])).await.expect(200).json;
    assert_eq!(shown["dependsOn"], builds[0]["id"]);
    let told = site.env.rows("SELECT id FROM audit WHERE action = 'instance.update'").await;
    assert_eq!(told.len(), 2, "joining must not be in the audit log");
    let again = site.ann.send(update(&site.ann, &made[0].instance, &json!({}))).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    // If the build fails, the jobs that wait for it fail.
    let failed = "UPDATE jobs SET status = 'failed', finished_at = now(), error_message = 'No space.' WHERE kind = 'rebuild_image' RETURNING id";
    let told =
        "INSERT INTO job_events (job_id, attempt, kind, message) SELECT id, 0, 'finished', 'No space.' FROM failed";
    site.env.execute(&format!("WITH failed AS ({failed}) {told}")).await;
    site.env.add_worker(&WorkerOptions::default()).await;
    for job in &jobs {
        let failed = wait_job(&site.env, job, "failed").await;
        assert_eq!(failed["error_code"], "dependency_failed");
        assert!(failed["error_message"].as_str().unwrap().ends_with("No space."), "{failed}");
    }
    for accepted in &made {
        assert_eq!(instance(&site.env, &accepted.instance).await["status"], "running");
    }
    site.env.finish().await;
}

#[tokio::test]
async fn update_is_refused() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    let path = format!("/api/instances/{id}/update");
    let cases = vec![
        ("no token", update(&site.anon, id, &ONLY())),
        ("somebody else's", update(&site.bob, id, &ONLY())),
        ("one that is not there", update(&site.ann, NO_INSTANCE, &ONLY())),
        ("no id", update(&site.ann, "x", &ONLY())),
        ("another field", update(&site.ann, id, &json!({ "version": "1" }))),
        ("no bool", update(&site.ann, id, &json!({ "force": "yes" }))),
        ("no JSON", bare(&site.ann, "POST", &path).body("x")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    another field: 400 unknown_field version: unknown_field
    no bool: 400 invalid_body force: invalid
    no JSON: 415 unsupported_media_type
    ");
    site.env.finish().await;
}

#[tokio::test]
async fn what_has_no_container_cannot_be_changed() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Exit78)).await;
    let made = site.ann.create("first").await;
    let id = made.instance.as_str();
    let rollback = || bare(&site.ann, "POST", &format!("/api/instances/{id}/rollback"));
    wait_job(&site.env, &made.job, "failed").await;
    let cases = vec![("update", update(&site.ann, id, &ONLY())), ("rollback", rollback())];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    update: 409 wrong_status
    rollback: 409 wrong_status
    ");
    // Settings of an instance without a container apply at once: its first container gets them.
    let body = json!({ "memoryMb": 4096, "applyNow": true });
    let edited = site.ann.patch(&format!("/api/instances/{id}"), &body).await.expect(200).json;
    assert_eq!((&edited["memoryMb"], &edited["pendingChanges"]), (&json!(4096), &json!([])));
    site.env.finish().await;
}

#[tokio::test]
async fn rollback_and_what_was_changed() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    let path = format!("/api/instances/{id}/changes");
    let rollback = |client, id: &str| bare(client, "POST", &format!("/api/instances/{id}/rollback"));
    let cases = vec![
        ("no token", rollback(&site.anon, id)),
        ("somebody else's", rollback(&site.bob, id)),
        ("one that is not there", rollback(&site.ann, NO_INSTANCE)),
        ("no id", rollback(&site.ann, "x")),
        ("nothing was changed", rollback(&site.ann, id)),
        ("changes: no token", bare(&site.anon, "GET", &path)),
        ("changes: somebody else's", bare(&site.bob, "GET", &path)),
        ("changes: one that is not there", bare(&site.ann, "GET", &format!("/api/instances/{NO_INSTANCE}/changes"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    nothing was changed: 409 no_way_back
    changes: no token: 401 unauthenticated
    changes: somebody else's: 404 not_found
    changes: one that is not there: 404 not_found
    ");
    assert_eq!(site.ann.get(&path).await.expect(200).json["items"], json!([]));

    with_newer(&site.env, FakeMode::Next).await;
    let asked = site.ann.send(update(&site.ann, id, &ONLY())).await.accepted();
    wait_job(&site.env, &asked.job, "succeeded").await;
    let mut change = redacted(&site.ann.get(&path).await.expect(200).json["items"][0]);
    for measured in ["bytes", "files", "downMs"] {
        assert!(change[measured].as_i64().unwrap() > 0, "{change}");
        change[measured] = json!("[number]");
    }
    change["method"] = json!("[method]");
    insta::assert_json_snapshot!(change, @r#"
    {
      "bytes": "[number]",
      "canRollBack": true,
      "changedSettings": [],
      "createdAt": "[time]",
      "downMs": "[number]",
      "durationMs": "[number]",
      "expiresAt": "[time]",
      "files": "[number]",
      "fromVersion": "2026.9.6",
      "id": "[uuid]",
      "jobId": "[uuid]",
      "method": "[method]",
      "reason": "update",
      "status": "kept",
      "toVersion": "2026.9.7"
    }
    "#);
    // The snapshot has expired.
    site.env.execute("UPDATE snapshots SET expires_at = now()").await;
    insta::assert_snapshot!(site.refusals(vec![("expired", rollback(&site.ann, id))]).await, @"expired: 409 no_way_back");
    assert_eq!(site.ann.get(&path).await.expect(200).json["items"][0]["canRollBack"], false);
    site.env.finish().await;
}

#[tokio::test]
async fn settings_wait_until_they_are_applied() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let (id, path) = (made.instance.as_str(), format!("/api/instances/{}", made.instance));
    let body = json!({ "cpuMillis": 500, "env": { "MINE": "one two" } });
    let edited = site.ann.patch(&path, &body).await.expect(200).json;
    assert_eq!(edited["pendingChanges"], json!(["cpuMillis", "env"]));
    assert_eq!((&edited["cpuMillis"], &edited["env"]), (&json!(1000), &json!([])), "not yet");
    let audit = site.env.row("SELECT detail FROM audit WHERE action = 'instance.settings'").await;
    assert_eq!(audit["detail"], json!({ "changed": ["cpuMillis", "env"] }));
    assert!(!site.env.row("SELECT pending_settings FROM instances").await.to_string().contains("one two"));

    // A restart applies them by a job that can be undone.
    let job = done(&site.env, id, "restart").await;
    assert_eq!(job["kind"], "recreate");
    let shown = site.ann.instance(id).await;
    assert_eq!((&shown["cpuMillis"], &shown["env"]), (&json!(500), &json!(["MINE"])));
    assert_eq!((&shown["pendingChanges"], &shown["status"]), (&json!([]), &json!("running")));
    assert!(crate::support::config_file(&site.env, id, ".env").contains("MINE=\"one two\"\n"));

    // A change that is reverted before it is applied is no longer pending. A variable is removed by its name.
    site.ann.patch(&path, &json!({ "cpuMillis": 700 })).await.expect(200);
    let back = site.ann.patch(&path, &json!({ "cpuMillis": 500, "applyNow": true })).await.expect(200).json;
    assert_eq!(back["pendingChanges"], json!([]));
    let asked = site.ann.patch(&path, &json!({ "env": { "MINE": null }, "applyNow": true })).await.accepted();
    wait_job(&site.env, &asked.job, "succeeded").await;
    assert!(!crate::support::config_file(&site.env, id, ".env").contains("MINE"));

    let cases = vec![
        ("no token", with(&site.anon, "PATCH", &path, &body)),
        ("somebody else's", with(&site.bob, "PATCH", &path, &body)),
        ("too little memory", with(&site.ann, "PATCH", &path, &json!({ "memoryMb": 1 }))),
        ("a channel without its token", with(&site.ann, "PATCH", &path, &json!({ "channel": "telegram" }))),
        ("a provider without its key", with(&site.ann, "PATCH", &path, &json!({ "aiProvider": "openai" }))),
        ("a variable of the platform's", with(&site.ann, "PATCH", &path, &json!({ "env": { "HOME": "/" } }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    too little memory: 422 validation_failed memoryMb: out_of_range
    a channel without its token: 422 validation_failed botToken: required
    a provider without its key: 422 validation_failed apiKey: required
    a variable of the platform's: 422 validation_failed env: reserved
    ");
    site.env.finish().await;
}

/// While another job runs, settings can be changed but not applied.
#[tokio::test]
async fn settings_while_something_is_under_way() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let path = format!("/api/instances/{}", made.instance);
    retire(&site.env).await;
    let hold = Hold::default();
    site.env.add_worker(&WorkerOptions::failpoints(&hold.at("restart.start_container.before"))).await;
    let restart = site.ann.act(&made.instance, "restart").await;
    hold.reached(&site.env).await;
    let now = with(&site.ann, "PATCH", &path, &json!({ "cpuMillis": 500, "applyNow": true }));
    insta::assert_snapshot!(site.refusals(vec![("apply now", now)]).await, @"apply now: 409 job_in_progress");
    let noted = site.ann.patch(&path, &json!({ "cpuMillis": 500 })).await.expect(200).json;
    assert_eq!(noted["pendingChanges"], json!(["cpuMillis"]));
    hold.release();
    wait_job(&site.env, &restart.job, "succeeded").await;
    assert_eq!(site.ann.instance(&made.instance).await["pendingChanges"], json!(["cpuMillis"]));
    site.env.finish().await;
}

#[tokio::test]
async fn versions_that_may_not_be_started() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    let policy = "/api/admin/version-policy";
    let set = |body: Value| with(&site.admin, "PUT", policy, &body);
    let cases = vec![
        ("no token", bare(&site.anon, "GET", policy)),
        ("not an administrator", bare(&site.ann, "GET", policy)),
        ("set: no token", with(&site.anon, "PUT", policy, &json!({ "minimumVersion": "2026.9.7" }))),
        ("set: not an administrator", with(&site.ann, "PUT", policy, &json!({ "minimumVersion": "2026.9.7" }))),
        ("no version", set(json!({ "minimumVersion": "latest" }))),
        ("refuse what", set(json!({ "minimumVersion": null, "refuseStart": true }))),
        ("another field", set(json!({ "minimum": "1" }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    not an administrator: 403 admin_only
    set: no token: 401 unauthenticated
    set: not an administrator: 403 admin_only
    no version: 422 validation_failed minimumVersion: invalid
    refuse what: 422 validation_failed minimumVersion: required
    another field: 400 unknown_field minimum: unknown_field
    ");

    site.admin.send(set(json!({ "minimumVersion": "2026.9.7" }))).await.expect(200);
    assert_eq!(site.ann.instance(id).await["vulnerable"], true);
    done(&site.env, id, "restart").await;
    let shown = site.admin.send(set(json!({ "minimumVersion": "2026.9.7", "refuseStart": true }))).await.expect(200);
    insta::assert_json_snapshot!(redacted(&shown.json), @r#"
    {
      "minimumVersion": "2026.9.7",
      "refuseStart": true,
      "updatedAt": "[time]"
    }
    "#);
    assert_eq!(site.ann.instance(id).await["status"], "running", "what runs goes on running");
    done(&site.env, id, "stop").await;
    let start = vec![("start", bare(&site.ann, "POST", &format!("/api/instances/{id}/start")))];
    insta::assert_snapshot!(site.refusals(start).await, @"start: 409 version_refused");
    // The current image has that version too.
    let second = site.ann.create("second").await;
    assert_eq!(wait_job(&site.env, &second.job, "failed").await["error_code"], "version_refused");
    deleted(&site.env, &second.instance).await;

    with_newer(&site.env, FakeMode::Next).await;
    let asked = site.ann.send(update(&site.ann, id, &ONLY())).await.accepted();
    wait_job(&site.env, &asked.job, "succeeded").await;
    done(&site.env, id, "start").await;
    assert_eq!(site.ann.instance(id).await["vulnerable"], false);
    // A rollback would lead to a version that may not be started.
    let back = site.ann.act(id, "rollback").await;
    assert_eq!(wait_job(&site.env, &back.job, "failed").await["error_code"], "version_refused");
    assert_eq!(instance(&site.env, id).await["image_id"], image_id(FakeMode::Next).await);
    assert_eq!(instance(&site.env, id).await["status"], "running");
    site.env.finish().await;
}

#[tokio::test]
async fn update_of_everything() {
    let site = Site::with(TestEnv::builder()).await;
    let made = running(&site.env, "first").await;
    retire(&site.env).await;
    let path = "/api/admin/update-all";
    let of = |id: &str| format!("{path}/{id}");
    let cases = vec![
        ("no token", bare(&site.anon, "POST", path)),
        ("not an administrator", bare(&site.ann, "POST", path)),
        ("another field", with(&site.admin, "POST", path, &json!({ "waves": 3 }))),
        ("how far: no token", bare(&site.anon, "GET", &of(NO_UUID))),
        ("how far: not an administrator", bare(&site.ann, "GET", &of(NO_UUID))),
        ("how far: one that is not there", bare(&site.admin, "GET", &of(NO_UUID))),
        ("how far: another job", bare(&site.admin, "GET", &of(&made.job))),
        ("how far: no id", bare(&site.admin, "GET", &of("x"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    not an administrator: 403 admin_only
    another field: 400 unknown_field waves: unknown_field
    how far: no token: 401 unauthenticated
    how far: not an administrator: 403 admin_only
    how far: one that is not there: 404 not_found
    how far: another job: 404 not_found
    how far: no id: 400 invalid_path id: invalid
    ");
    let first = site.admin.post(path, &ONLY()).await.expect(202);
    let job = first.json["job"]["id"].as_str().unwrap().to_owned();
    let again = site.admin.post(path, &ONLY()).await.expect(202);
    assert_eq!((&again.json["job"]["id"], &again.json["joined"]), (&json!(job), &json!(true)));
    site.env.add_worker(&on(FakeMode::Next)).await;
    wait_job(&site.env, &job, "succeeded").await;
    let mut shown = redacted(&site.admin.get(&of(&job)).await.expect(200).json);
    shown["job"] = json!("[job]");
    insta::assert_json_snapshot!(shown, @r#"
    {
      "failed": 0,
      "job": "[job]",
      "members": [
        {
          "errorMessage": null,
          "fault": null,
          "instanceId": "[instance]",
          "name": "first",
          "ran": true,
          "status": "updated",
          "updateJobId": "[uuid]",
          "wave": 0
        }
      ],
      "skipped": 0,
      "updated": 1,
      "updating": 0,
      "waiting": 0
    }
    "#);
    site.env.finish().await;
}
