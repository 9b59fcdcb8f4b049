//! Administration: jobs, workers, images, the audit log.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, TestEnv};
use serde_json::{Value, json};

use super::{NO_UUID, Site, bare};
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
      "concurrency": 20,
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
        "rollouts",
        "warm"
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
    // The other worker continues.
    running(&site.env, "first").await;
    site.env.finish().await;
}

/// A failed build shows the reason and leaves the current image alone.
#[tokio::test]
async fn a_build_that_fails() {
    let base = "clawdeploy-test-no-such-registry.invalid/base:1";
    let site = Site::with(TestEnv::builder().set("CLAWDEPLOY_OPENCLAW_BASE_IMAGE", base)).await;
    let before =
        clawdeploy_tests::docker::docker(&["image", "inspect", "--format", "{{.Id}}", &FakeMode::Ok.image()]).await;
    let job = site.admin.post_empty("/api/admin/image/rebuild").await.expect(202).json;
    let job = job["job"]["id"].as_str().unwrap().to_owned();
    // The job itself is retried later, because a registry may come back.
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
