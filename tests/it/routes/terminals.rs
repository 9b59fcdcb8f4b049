//! Routes of terminals. The terminals themselves are tested in `terminal`.

use clawdeploy_tests::{FakeMode, TestEnv};
use serde_json::json;

use super::{NO_INSTANCE, NO_UUID, Site, bare};
use crate::support::{done, redacted, running};

#[tokio::test]
async fn opened_listed_and_closed() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Shell)).await;
    let made = running(&site.env, "first").await;
    let path = format!("/api/instances/{}/terminals", made.instance);
    let opened = site.ann.post(&path, &json!({ "cols": 120, "rows": 40 })).await.expect(201);
    let id = opened.json["terminalId"].as_str().unwrap().to_owned();
    assert_eq!(opened.json["expiresIn"], 30);
    assert_eq!(opened.json["ticket"].as_str().map(str::len), Some(64));
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    let ticket = site.ann.post_empty(&format!("/api/terminals/{id}/ticket")).await.expect(200);
    assert_ne!(ticket.json["ticket"], opened.json["ticket"]);
    site.ann.post(&path, &json!({ "command": "openclaw configure" })).await.expect(201);
    let listed = site.ann.get(&path).await.expect(200).json;
    assert_eq!(redacted(&listed["items"][0]), json!({ "id": "[uuid]", "command": null, "startedAt": "[time]" }));
    site.ann.delete(&format!("/api/terminals/{id}")).await.expect(204);
    site.env.finish().await;
}

#[tokio::test]
async fn refused() {
    let site = Site::with(TestEnv::builder().image(FakeMode::Shell)).await;
    let made = running(&site.env, "first").await;
    let id = made.instance.as_str();
    let path = format!("/api/instances/{id}/terminals");
    let opened = site.ann.post(&path, &json!({})).await.expect(201).json;
    let terminal = opened["terminalId"].as_str().unwrap();
    let (ticket, end) = (format!("/api/terminals/{terminal}/ticket"), format!("/api/terminals/{terminal}"));
    let of = |client, method, path: &str| bare(client, method, path);
    let nobody = format!("/api/instances/{NO_INSTANCE}/terminals");
    let none = format!("/api/terminals/{NO_UUID}/ticket");
    let form = |form: serde_json::Value| of(&site.ann, "POST", &path).json(&form);
    let cases = vec![
        ("open, anonymous", of(&site.anon, "POST", &path)),
        ("open, another's", of(&site.bob, "POST", &path)),
        ("open, as an administrator", of(&site.admin, "POST", &path)),
        ("open, no such instance", of(&site.ann, "POST", &nobody)),
        ("open, another command", form(json!({ "command": "rm -rf /" }))),
        ("open, a size that is none", form(json!({ "cols": "wide" }))),
        ("open, an unknown field", form(json!({ "user": "root" }))),
        ("list, anonymous", of(&site.anon, "GET", &path)),
        ("list, another's", of(&site.bob, "GET", &path)),
        ("ticket, anonymous", of(&site.anon, "POST", &ticket)),
        ("ticket, another's", of(&site.bob, "POST", &ticket)),
        ("ticket, as an administrator", of(&site.admin, "POST", &ticket)),
        ("ticket, no such terminal", of(&site.ann, "POST", &none)),
        ("ticket, no id", of(&site.ann, "POST", "/api/terminals/x/ticket")),
        ("close, anonymous", of(&site.anon, "DELETE", &end)),
        ("close, another's", of(&site.bob, "DELETE", &end)),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    open, anonymous: 401 unauthenticated
    open, another's: 404 not_found
    open, as an administrator: 404 not_found
    open, no such instance: 404 not_found
    open, another command: 400 invalid_body command: invalid
    open, a size that is none: 400 invalid_body cols: invalid
    open, an unknown field: 400 unknown_field user: unknown_field
    list, anonymous: 401 unauthenticated
    list, another's: 404 not_found
    ticket, anonymous: 401 unauthenticated
    ticket, another's: 404 not_found
    ticket, as an administrator: 404 not_found
    ticket, no such terminal: 404 not_found
    ticket, no id: 400 invalid_path id: invalid
    close, anonymous: 401 unauthenticated
    close, another's: 404 not_found
    ");
    done(&site.env, id, "stop").await;
    let cases = vec![("open, stopped", of(&site.ann, "POST", &path))];
    assert_eq!(site.refusals(cases).await, "open, stopped: 409 not_running");
    site.env.finish().await;
}
