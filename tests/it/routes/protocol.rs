//! What holds for every request: its id, its headers, and answers for what there is not.

use clawdeploy_tests::TestEnv;
use serde_json::json;

use super::{Site, bare};
use crate::support::redacted;

#[tokio::test]
async fn what_there_is_not() {
    let site = Site::new().await;
    let cases = vec![
        ("no such address", bare(&site.ann, "GET", "/api/nothing")),
        ("no such page", bare(&site.ann, "GET", "/nothing")),
        ("another method", bare(&site.ann, "PUT", "/api/instances")),
        ("a method of one's own", bare(&site.ann, "BREW", "/api/me")),
        ("a slash too much", bare(&site.ann, "GET", "/api/instances/")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no such address: 404 not_found
    no such page: 404 not_found
    another method: 405 method_not_allowed
    a method of one's own: 405 method_not_allowed
    a slash too much: 404 not_found
    ");
    site.env.finish().await;
}

#[tokio::test]
async fn a_problem_is_told_in_full() {
    let site = Site::new().await;
    let answer = site.ann.get("/api/instances/zzzzzzzzzzzz").await.expect(404);
    assert_eq!(answer.json["requestId"].as_str(), answer.header("x-request-id"));
    insta::assert_json_snapshot!(redacted(&answer.json), @r#"
    {
      "code": "not_found",
      "detail": "There is no such instance.",
      "requestId": "[request]",
      "status": 404,
      "title": "Not Found",
      "type": "about:blank"
    }
    "#);
    site.env.finish().await;
}

#[tokio::test]
async fn headers() {
    let site = Site::new().await;
    for path in ["/api/me", "/api/instances/zzzzzzzzzzzz", "/healthz", "/nothing"] {
        let answer = site.ann.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(answer.header("x-request-id").is_some(), "{path}");
    }
    let answer = site.ann.get("/api/me").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    site.env.finish().await;
}

/// A client's id goes all the way to the job, and a harmful one does not.
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
    assert!(site.env.worker(0).log().contains("my-id-1"), "the worker's log names the request");
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

#[tokio::test]
async fn documentation() {
    let site = Site::new().await;
    let document = site.anon.get("/api/openapi.json").await.expect(200).json;
    assert_eq!(document["info"]["title"], "ClawDeploy");
    let page = site.anon.get("/api/docs/").await.expect(200);
    assert!(page.text.contains("swagger-ui"));
    site.env.finish().await;
}
