//! API tokens.

use serde_json::json;

use super::{NO_UUID, Site, bare, with};
use clawdeploy_tests::cases::redacted;

const PATH: &str = "/api/tokens";

#[tokio::test]
async fn made_shown_once_used_and_revoked() {
    let site = Site::new().await;
    let made = site.ann.post(PATH, &json!({ "name": "backup script", "expiresInDays": 7 })).await.expect(201);
    let (id, token) = (made.json["id"].as_str().unwrap(), made.json["token"].as_str().unwrap());
    site.env.remember_secret(token);
    insta::assert_json_snapshot!(redacted(&made.json), @r#"
    {
      "createdAt": "[time]",
      "expiresAt": "[time]",
      "id": "[uuid]",
      "lastUsedAt": null,
      "name": "backup script",
      "scope": "operate",
      "token": "[token]"
    }
    "#);
    let program = site.anon.with_token(token);
    assert_eq!(program.get("/api/me").await.expect(200).json["email"], "ann@test.example");
    let days = site.env.row("SELECT round(extract(epoch FROM expires_at - now()) / 86400) AS days FROM api_tokens WHERE name = 'backup script'").await;
    assert_eq!(days["days"], 7);

    let list = program.get(PATH).await.expect(200);
    assert!(!list.text.contains(token), "it is shown once");
    let current: Vec<_> =
        list.json["items"].as_array().unwrap().iter().filter(|item| item["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["id"]), (1, &json!(id)));

    let of = |client, id: &str| bare(client, "DELETE", &format!("{PATH}/{id}"));
    let cases = vec![
        ("no token", of(&site.anon, id)),
        ("somebody else's", of(&site.bob, id)),
        ("an administrator", of(&site.admin, id)),
        ("one that is not there", of(&site.ann, NO_UUID)),
        ("no id", of(&site.ann, "x")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    an administrator: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    ");
    site.ann.delete(&format!("{PATH}/{id}")).await.expect(204);
    assert_eq!(program.get("/api/me").await.brief(), "401 invalid_token");
    insta::assert_snapshot!(site.refusals(vec![("once more", of(&site.ann, id))]).await, @"once more: 404 not_found");
    let actions = site.env.rows("SELECT action FROM audit ORDER BY id").await;
    assert_eq!(actions, [json!({ "action": "token.create" }), json!({ "action": "token.revoke" })]);
    site.env.finish().await;
}

#[tokio::test]
async fn unacceptable_forms() {
    let site = Site::new().await;
    let form = |form| with(&site.ann, "POST", PATH, &form);
    let cases = vec![
        ("no token", with(&site.anon, "POST", PATH, &json!({ "name": "x" }))),
        ("no name", form(json!({}))),
        ("a long name", form(json!({ "name": "x".repeat(65) }))),
        ("no days", form(json!({ "name": "x", "expiresInDays": 0 }))),
        ("too many days", form(json!({ "name": "x", "expiresInDays": 366 }))),
        ("days that are none", form(json!({ "name": "x", "expiresInDays": "7" }))),
        ("a scope that is none", form(json!({ "name": "x", "scope": "all" }))),
        ("another field", form(json!({ "name": "x", "role": "admin" }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    no name: 422 validation_failed name: required
    a long name: 422 validation_failed name: too_long
    no days: 422 validation_failed expiresInDays: out_of_range
    too many days: 422 validation_failed expiresInDays: out_of_range
    days that are none: 400 invalid_body expiresInDays: invalid
    a scope that is none: 422 validation_failed scope: unknown_value
    another field: 400 unknown_field role: unknown_field
    ");
    site.env.finish().await;
}

/// A token's scope limits it, even an administrator's.
#[tokio::test]
async fn scopes() {
    let site = Site::new().await;
    let made = site.admin.create("first").await;
    let mut tokens = std::collections::BTreeMap::new();
    for scope in ["read", "operate", "admin"] {
        let token = site.admin.post(PATH, &json!({ "name": scope, "scope": scope })).await.expect(201);
        let token = token.json["token"].as_str().unwrap().to_owned();
        site.env.remember_secret(&token);
        tokens.insert(scope, site.anon.with_token(&token));
    }
    let cancel = format!("/api/jobs/{}/cancel", made.job);
    let (read, operate) = (&tokens["read"], &tokens["operate"]);
    let cases = vec![
        ("read creates", with(read, "POST", "/api/instances", &json!({ "name": "second" }))),
        ("read cancels", bare(read, "POST", &cancel)),
        ("read signs out", bare(read, "POST", "/api/auth/logout")),
        ("read administrates", bare(read, "GET", "/api/admin/queues")),
        ("operate administrates", bare(operate, "GET", "/api/admin/queues")),
        ("operate makes a token", with(operate, "POST", PATH, &json!({ "name": "more", "scope": "admin" }))),
        ("operate revokes a token", bare(operate, "DELETE", &format!("{PATH}/{NO_UUID}"))),
        (
            "operate changes the password",
            with(operate, "POST", "/api/me/password", &json!({ "current": "x", "new": "y" })),
        ),
        ("operate sets up an app", bare(operate, "POST", "/api/me/totp")),
        ("operate ends a session", bare(operate, "DELETE", &format!("/api/sessions/{NO_UUID}"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    read creates: 403 insufficient_scope
    read cancels: 403 insufficient_scope
    read signs out: 403 insufficient_scope
    read administrates: 403 insufficient_scope
    operate administrates: 403 insufficient_scope
    operate makes a token: 403 insufficient_scope
    operate revokes a token: 403 insufficient_scope
    operate changes the password: 403 insufficient_scope
    operate sets up an app: 403 insufficient_scope
    operate ends a session: 403 insufficient_scope
    ");
    assert_eq!(read.instance(&made.instance).await["name"], "first");
    let other = site.ann.create("another").await;
    assert_eq!(operate.get(&format!("/api/instances/{}", other.instance)).await.brief(), "404 not_found");
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", other.job)).await.expect(202);
    operate.post_empty(&cancel).await.expect(202);
    tokens["admin"].get("/api/admin/queues").await.expect(200);
    site.env.finish().await;
}
