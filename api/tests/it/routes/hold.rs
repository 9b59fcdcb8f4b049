//! Requests to an instance are held while it is about to run. No worker runs: rows stand in for what it does.

use std::time::Duration;

use clawdeploy_tests::client::Answer;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::json;

use super::{
    Site,
    sleep::{finish, instance, open_jobs, sleeping},
};

/// How many requests to one instance are held (`api/src/controllers/pages/hold.rs`).
const MOST: usize = 64;

const SOON: Duration = Duration::from_secs(10);

async fn hold(site: &Site, id: &str, accept: &str) -> Answer {
    let path = format!("/pages/instances/{id}/hold");
    site.anon.send(site.anon.request(reqwest::Method::GET, &path).header("accept", accept)).await
}

async fn runs(site: &Site, id: &str) {
    site.env.execute(&format!("INSERT INTO ports (port, instance_id) VALUES (20777, '{id}')")).await;
    site.env.execute("UPDATE instances SET status = 'running'").await;
}

#[tokio::test]
async fn it_is_woken_and_those_who_asked_learn_its_port() {
    let site = Site::new().await;
    let id = sleeping(&site).await.instance;
    // A person sees a page after a moment.
    assert_eq!(hold(&site, &id, "text/html").await.status, 403);
    let jobs = open_jobs(&site).await;
    assert_eq!((jobs.len(), &jobs[0]["kind"]), (1, &json!("start")));
    assert_eq!(instance(&site, &id).await["lastWake"]["by"], "address");

    let mut held: FuturesUnordered<_> = (0..=MOST).map(|_| hold(&site, &id, "*/*")).collect();
    assert_eq!(held.next().await.unwrap().status, 403, "one too many");
    runs(&site, &id).await;
    while let Some(answer) = held.next().await {
        assert_eq!((answer.status.as_u16(), answer.header("x-clawdeploy-port")), (204, Some("20777")));
    }
    drop(held);
    assert_eq!(open_jobs(&site).await, jobs, "one wake for all of them");
    finish(site).await;
}

/// While it is being stopped it cannot be woken yet.
#[tokio::test]
async fn one_that_is_falling_asleep_is_woken_afterwards() {
    let site = Site::new().await;
    let id = sleeping(&site).await.instance;
    site.env.execute("UPDATE jobs SET status = 'queued', kind = 'stop', finished_at = NULL").await;
    site.env.execute("UPDATE instances SET status = 'stopping'").await;
    let stopped = async {
        assert_eq!(open_jobs(&site).await[0]["kind"], "stop");
        site.env.execute("UPDATE jobs SET status = 'succeeded', finished_at = now()").await;
        site.env.execute("UPDATE instances SET status = 'stopped'").await;
        let woken = async || open_jobs(&site).await.first().is_some_and(|job| job["kind"] == "start").then_some(());
        site.env.wait_for("its wake", SOON, woken).await;
        runs(&site, &id).await;
    };
    let (answer, ()) = tokio::join!(hold(&site, &id, "*/*"), stopped);
    assert_eq!(answer.status, 204);
    finish(site).await;
}

/// Its sender gets the status page's answer at once.
#[tokio::test]
async fn what_will_not_run_is_not_waited_for() {
    let site = Site::with(&[("CLAWDEPLOY_MEMORY_OVERCOMMIT", "1"), ("CLAWDEPLOY_RESERVED_MEMORY_MB", "0")]).await;
    let id = sleeping(&site).await.instance;
    for name in ["www", "abcdefghijkl"] {
        assert_eq!(hold(&site, name, "*/*").await.status, 403, "{name}");
    }
    for (why, sql) in [
        (
            "the host is full",
            "INSERT INTO workers (id, host, pid, version, queues, concurrency, running, memory_mb) \
            VALUES ('w', 'h', 1, '0', '{}', 0, 0, 2047)",
        ),
        ("its owner has stopped it", "UPDATE instances SET asleep_since = NULL, wake_at = NULL"),
        ("it could not be started", "UPDATE instances SET desired_state = 'running', status = 'error'"),
        ("it is being deleted", "UPDATE instances SET desired_state = 'deleted', status = 'deleting'"),
    ] {
        site.env.execute(sql).await;
        assert_eq!(hold(&site, &id, "*/*").await.status, 403, "{why}");
        assert!(open_jobs(&site).await.is_empty(), "{why}");
    }
    finish(site).await;
}

#[tokio::test]
async fn a_wake_that_somebody_cancels_is_not_tried_again() {
    let site = Site::new().await;
    let id = sleeping(&site).await.instance;
    let cancelled = async {
        let woken = async || (!open_jobs(&site).await.is_empty()).then_some(());
        site.env.wait_for("its wake", SOON, woken).await;
        let asleep = "UPDATE instances SET desired_state = 'stopped', asleep_since = now()";
        site.env.execute(asleep).await;
        site.env.execute("UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE status = 'queued'").await;
    };
    let (answer, ()) = tokio::join!(hold(&site, &id, "*/*"), cancelled);
    assert_eq!(answer.status, 403);
    assert!(open_jobs(&site).await.is_empty());
    finish(site).await;
}
