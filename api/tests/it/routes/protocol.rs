//! Rules of all requests: request ids, headers, and errors for unknown paths and methods.

use super::{Site, bare};
use clawdeploy_tests::cases::redacted;

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

#[tokio::test]
async fn documentation() {
    let site = Site::new().await;
    let document = site.anon.get("/api/openapi.json").await.expect(200).json;
    assert_eq!(document["info"]["title"], "ClawDeploy");
    let page = site.anon.get("/api/docs/").await.expect(200);
    assert!(page.text.contains("swagger-ui"));
    site.env.finish().await;
}
