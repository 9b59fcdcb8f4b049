//! Request ids and the health checks.

use clawdeploy_tests::TestEnv;
use serde_json::json;

use super::{Site, bare};

/// A client's request id is passed on to the job, unless it has invalid characters.
#[tokio::test]
async fn request_ids() {
    let site = Site::with(TestEnv::builder()).await;
    let request =
        bare(&site.ann, "POST", "/api/instances").header("x-request-id", "my-id-1").json(&json!({ "name": "first" }));
    let made = site.ann.send(request).await.accepted();
    assert_eq!(made.answer.header("x-request-id"), Some("my-id-1"));
    assert_eq!(crate::support::job(&site.env, &made.job).await["request_id"], "my-id-1");
    assert_eq!(site.env.row("SELECT request_id FROM audit").await["request_id"], "my-id-1");
    crate::support::wait_job(&site.env, &made.job, "succeeded").await;
    let named = async || site.env.worker(0).log().contains("my-id-1").then_some(());
    site.env.wait_for("the worker's log to name the request", crate::support::SOON, named).await;
    let request = bare(&site.ann, "GET", "/api/me").header("x-request-id", "a\"b c");
    let answer = site.ann.send(request).await.expect(200);
    assert!(uuid::Uuid::parse_str(answer.header("x-request-id").unwrap()).is_ok());
    site.env.finish().await;
}

#[tokio::test]
async fn health() {
    let site = Site::new().await;
    assert_eq!(site.anon.get("/healthz").await.expect(200).json, json!({ "status": "ok" }));
    insta::assert_json_snapshot!(site.anon.get("/readyz").await.expect(200).json, @r#"
    {
      "firewall": "unknown",
      "postgres": "ok",
      "redis": "ok",
      "status": "degraded",
      "workers": {
        "alive": 0,
        "standby": 0,
        "status": "degraded"
      }
    }
    "#);
    site.env.add_worker(&clawdeploy_tests::WorkerOptions::default()).await;
    let up = async || (site.anon.get("/readyz").await.json["workers"]["alive"] == 1).then_some(());
    site.env.wait_for("the worker", std::time::Duration::from_secs(10), up).await;
    assert_eq!(site.anon.get("/readyz").await.expect(200).json["status"], "ok");
    site.env.finish().await;
}
