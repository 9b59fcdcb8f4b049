//! Paused queues.

use clawdeploy_shared::{
    db::job::{self, NewJob},
    job::JobKind,
};
use clawdeploy_tests::{TestEnv, WorkerOptions};
use serde_json::json;

use super::{Site, bare};
use crate::support::{job as row, running, wait_job};

fn queue(site: &Site, queue: &str, verb: &str) -> reqwest::RequestBuilder {
    bare(&site.admin, "POST", &format!("/api/admin/queues/{queue}/{verb}"))
}

/// Waits until a worker has looked into all queues: it takes a job of another queue, for which nobody rang.
async fn looked(env: &TestEnv) {
    let id = job::insert(&mut env.connect().await, &NewJob::new(JobKind::Noop)).await.unwrap().id.to_string();
    env.execute(&format!("UPDATE jobs SET queue = 'builds' WHERE id = '{id}'")).await;
    wait_job(env, &id, "succeeded").await;
}

#[tokio::test]
async fn pause_and_resume() {
    let site = Site::with(TestEnv::builder()).await;
    let first = running(&site.env, "first").await;
    let paused = site.admin.send(queue(&site, "lifecycle", "pause")).await.expect(200).json;
    assert_eq!(paused["queue"], "lifecycle");
    let before = site.env.fingerprint().await;
    site.admin.send(queue(&site, "lifecycle", "pause")).await.expect(200);
    assert_eq!(site.env.fingerprint().await, before, "a repeated request changed something");

    let made = site.ann.create("second").await;
    // What nobody may take is still there after several looks, also for a worker that comes later.
    looked(&site.env).await;
    site.env.worker(0).terminate().await;
    site.env.add_worker(&WorkerOptions::default()).await;
    looked(&site.env).await;
    looked(&site.env).await;
    assert_eq!(row(&site.env, &made.job).await["attempt"], 0);
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
