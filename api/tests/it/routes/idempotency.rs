//! `Idempotency-Key`: a repeated create returns the first result.

use clawdeploy_tests::{Answer, Client};
use serde_json::{Value, json};

use super::{Site, bare};

fn request(client: &Client, key: &str, body: &Value) -> reqwest::RequestBuilder {
    bare(client, "POST", "/api/instances").header("Idempotency-Key", key).json(body)
}

async fn post(client: &Client, key: &str, body: &Value) -> Answer {
    client.send(request(client, key, body)).await
}

async fn cancel_all(site: &Site) {
    for row in site.env.rows("SELECT id FROM jobs WHERE status = 'queued'").await {
        site.admin.post_empty(&format!("/api/admin/jobs/{}/cancel", row["id"].as_str().unwrap())).await.expect(202);
    }
}

#[tokio::test]
async fn the_same_request_again() {
    let site = Site::new().await;
    let first = post(&site.ann, "k1", &json!({ "name": "first", "cpuMillis": 500 })).await.accepted();
    assert_eq!(first.answer.header("idempotency-replayed"), None);
    let before = site.env.fingerprint().await;
    // The order of fields and whitespace in the body do not matter.
    let again = bare(&site.ann, "POST", "/api/instances").header("Idempotency-Key", "k1");
    let again = again.header("content-type", "application/json").body("{ \"cpuMillis\": 500,\n \"name\": \"first\" }");
    let again = site.ann.send(again).await.accepted();
    assert_eq!((&again.instance, &again.job), (&first.instance, &first.job));
    assert_eq!(again.answer.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.answer.header("location"), first.answer.header("location"));
    assert_eq!(site.env.fingerprint().await, before);
    cancel_all(&site).await;
    site.env.finish().await;
}

#[tokio::test]
async fn the_same_key_for_something_else() {
    let site = Site::new().await;
    post(&site.ann, "k1", &json!({ "name": "first" })).await.accepted();
    let long = "k".repeat(129);
    let other = json!({ "name": "other" });
    let cases = vec![
        ("another name", request(&site.ann, "k1", &other)),
        ("another field", request(&site.ann, "k1", &json!({ "name": "first", "cpuMillis": 500 }))),
        ("an empty key", request(&site.ann, "", &other)),
        ("a key of 129 characters", request(&site.ann, &long, &other)),
        ("a key that is not ASCII", request(&site.ann, "schlüssel", &other)),
        ("another key, the same name", request(&site.ann, "k2", &json!({ "name": "first" }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    another name: 422 idempotency_key_reused
    another field: 422 idempotency_key_reused
    an empty key: 400 invalid_header Idempotency-Key: invalid
    a key of 129 characters: 400 invalid_header Idempotency-Key: invalid
    a key that is not ASCII: 400 invalid_header Idempotency-Key: invalid
    another key, the same name: 409 name_taken name: taken
    ");
    // A refused request does not use up its key.
    post(&site.ann, "k2", &other).await.accepted();
    cancel_all(&site).await;
    site.env.finish().await;
}

#[tokio::test]
async fn keys_are_each_persons_own() {
    let site = Site::new().await;
    let body = json!({ "name": "first" });
    let (ann, bob) = (post(&site.ann, "k1", &body).await.accepted(), post(&site.bob, "k1", &body).await.accepted());
    assert_ne!(ann.instance, bob.instance);
    cancel_all(&site).await;
    site.env.finish().await;
}

#[tokio::test]
async fn ten_at_once_with_one_key() {
    let site = Site::new().await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let ann = site.ann.clone();
        asked.spawn(async move { post(&ann, "k1", &json!({ "name": "first" })).await.accepted() });
    }
    let made = asked.join_all().await;
    assert!(made.iter().all(|accepted| accepted.job == made[0].job));
    assert_eq!(made.iter().filter(|accepted| accepted.answer.header("idempotency-replayed").is_none()).count(), 1);
    assert_eq!(site.env.rows("SELECT id FROM instances").await.len(), 1);
    cancel_all(&site).await;
    site.env.finish().await;
}
