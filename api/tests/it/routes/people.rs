//! Users, as administrators see and change them.

use std::time::Duration;

use clawdeploy_tests::Client;
use serde_json::{Value, json};

use super::{NO_UUID, Site, bare, with};
use clawdeploy_tests::cases::redacted;

const PATH: &str = "/api/admin/users";
const ACCEPT: &str = "/api/auth/invitations/accept";
const PASSWORD: &str = "canary horse battery";

fn accept(token: &str) -> Value {
    json!({ "token": token, "password": PASSWORD })
}

/// Id and invitation token of a new user.
async fn invited(site: &Site, email: &str) -> (String, String) {
    let made = site.admin.post(PATH, &json!({ "email": email, "name": "Eve" })).await.expect(201);
    let token = made.json["invitation"]["token"].as_str().unwrap().to_owned();
    site.env.remember_secret(&token);
    (made.json["user"]["id"].as_str().unwrap().to_owned(), token)
}

#[tokio::test]
async fn invited_once_and_in() {
    let site = Site::new().await;
    let made = site.admin.post(PATH, &json!({ "email": "Eve@test.example", "name": "Eve" })).await.expect(201);
    insta::assert_json_snapshot!(redacted(&made.json), @r#"
    {
      "invitation": {
        "expiresAt": "[time]",
        "token": "[token]"
      },
      "user": {
        "createdAt": "[time]",
        "email": "eve@test.example",
        "id": "[uuid]",
        "instances": 0,
        "invitedUntil": "[time]",
        "lastSeenAt": null,
        "name": "Eve",
        "quotas": {
          "cpuMillis": null,
          "instances": null,
          "memoryMb": null,
          "terminals": null
        },
        "role": "user",
        "suspendedAt": null,
        "totpConfirmedAt": null
      }
    }
    "#);
    let token = made.json["invitation"]["token"].as_str().unwrap();
    site.env.remember_secret(token);
    let list = site.admin.get(&format!("{PATH}?limit=2")).await.expect(200);
    assert!(!list.text.contains(token), "it is shown once");
    assert_eq!(list.json["items"][0]["email"], "eve@test.example");
    let next = list.json["nextCursor"].as_str().unwrap();
    let rest = site.admin.get(&format!("{PATH}?cursor={next}")).await.expect(200);
    assert_eq!(rest.json["items"].as_array().unwrap().len(), 2, "Ann and Bob");

    let password = |password: &str| json!({ "token": token, "password": password });
    let cases = vec![
        ("the same e-mail", with(&site.admin, "POST", PATH, &json!({ "email": "eve@TEST.example" }))),
        ("no e-mail", with(&site.admin, "POST", PATH, &json!({ "email": "eve", "role": "boss" }))),
        ("by a user", with(&site.ann, "POST", PATH, &json!({ "email": "x@test.example" }))),
        ("no password yet", with(&site.anon, "POST", "/api/auth/login", &json!({ "email": "x@y", "password": "!" }))),
        ("a short password", with(&site.anon, "POST", ACCEPT, &password("short"))),
        ("another token", with(&site.anon, "POST", ACCEPT, &accept(&"0".repeat(64)))),
    ];
    // A failed sign-in writes an audit row, so it is tested separately.
    let (login, cases): (Vec<_>, Vec<_>) = cases.into_iter().partition(|(case, _)| *case == "no password yet");
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    the same e-mail: 409 email_taken email: taken
    no e-mail: 422 validation_failed email: invalid, role: unknown_value
    by a user: 403 admin_only
    a short password: 422 validation_failed password: too_short
    another token: 401 invalid_credentials
    ");
    for (_, request) in login {
        assert_eq!(site.anon.send(request).await.brief(), "401 invalid_credentials");
    }

    let answer = site.anon.post(ACCEPT, &accept(token)).await.expect(200);
    let eve = site.anon.signed_in(&answer);
    assert_eq!(eve.get("/api/me").await.expect(200).json["email"], "eve@test.example");
    assert_eq!(site.anon.post(ACCEPT, &accept(token)).await.brief(), "401 invalid_credentials", "once");
    let again = json!({ "email": "eve@test.example", "password": PASSWORD });
    site.anon.post("/api/auth/login", &again).await.expect(200);
    site.env.finish().await;
}

#[tokio::test]
async fn an_invitation_expires_and_a_newer_one_replaces_it() {
    let site = Site::new().await;
    let (id, first) = invited(&site, "eve@test.example").await;
    let reset = format!("{PATH}/{id}/reset-password");
    let second = site.admin.post_empty(&reset).await.expect(200).json["token"].as_str().unwrap().to_owned();
    assert_eq!(site.anon.post(ACCEPT, &accept(&first)).await.brief(), "401 invalid_credentials");
    site.env.execute("UPDATE invitations SET expires_at = now()").await;
    assert_eq!(site.anon.post(ACCEPT, &accept(&second)).await.brief(), "401 invalid_credentials");
    site.env.finish().await;
}

#[tokio::test]
async fn a_reset_takes_the_password_and_the_sessions() {
    let site = Site::new().await;
    let (id, token) = invited(&site, "eve@test.example").await;
    let eve = site.anon.signed_in(&site.anon.post(ACCEPT, &accept(&token)).await.expect(200));
    let reset = format!("{PATH}/{id}/reset-password");
    let cases = vec![
        ("nobody", bare(&site.anon, "POST", &reset)),
        ("by a user", bare(&site.ann, "POST", &reset)),
        ("somebody who is not there", bare(&site.admin, "POST", &format!("{PATH}/{NO_UUID}/reset-password"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    nobody: 401 unauthenticated
    by a user: 403 admin_only
    somebody who is not there: 404 not_found
    ");
    let invitation = site.admin.post(&reset, &json!({ "removeTotp": true })).await.expect(200).json;
    assert_eq!(eve.get("/api/me").await.brief(), "401 unauthenticated");
    let listed = site.admin.get(PATH).await.expect(200).json["items"][0].take();
    assert_eq!((&listed["id"], listed["lastSeenAt"].is_string()), (&json!(id), true), "{listed}");
    let old = json!({ "email": "eve@test.example", "password": PASSWORD });
    assert_eq!(site.anon.post("/api/auth/login", &old).await.brief(), "401 invalid_credentials");
    site.anon.post(ACCEPT, &accept(invitation["token"].as_str().unwrap())).await.expect(200);
    site.env.finish().await;
}

/// Id of a user.
async fn id(site: &Site, name: &str) -> String {
    let row = site.env.row(&format!("SELECT id FROM users WHERE email = '{name}@test.example'")).await;
    row["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn roles_and_quotas_are_changed_and_the_last_administrator_stays() {
    let site = Site::new().await;
    let (ann, admin) = (id(&site, "ann").await, id(&site, "admin").await);
    let edit = |client: &Client, id: &str, form: Value| with(client, "PATCH", &format!("{PATH}/{id}"), &form);
    let cases = vec![
        ("nobody", edit(&site.anon, &ann, json!({ "role": "admin" }))),
        ("by a user", edit(&site.ann, &ann, json!({ "role": "admin" }))),
        ("somebody who is not there", edit(&site.admin, NO_UUID, json!({ "role": "admin" }))),
        ("no role", edit(&site.admin, &ann, json!({ "role": "root", "quotas": { "instances": -1 } }))),
        ("the last one suspended", edit(&site.admin, &admin, json!({ "suspended": true }))),
        ("the last one demoted", edit(&site.admin, &admin, json!({ "role": "user" }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    nobody: 401 unauthenticated
    by a user: 403 admin_only
    somebody who is not there: 404 not_found
    no role: 422 validation_failed role: unknown_value, quotas.instances: out_of_range
    the last one suspended: 409 last_admin
    the last one demoted: 409 last_admin
    ");
    let form = json!({ "role": "admin", "name": "Ann", "quotas": { "instances": 3, "terminals": 1 } });
    let changed = site.admin.patch(&format!("{PATH}/{ann}"), &form).await.expect(200).json;
    assert_eq!((&changed["role"], &changed["quotas"]["instances"]), (&json!("admin"), &json!(3)));
    assert_eq!(changed["quotas"]["memoryMb"], Value::Null);
    site.ann.patch(&format!("{PATH}/{admin}"), &json!({ "role": "user" })).await.expect(200);
    assert_eq!(site.admin.get(PATH).await.brief(), "403 admin_only");
    let actions = site.env.rows("SELECT action FROM audit ORDER BY id").await;
    let actions: Vec<_> = actions.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["user.rename", "user.role", "user.quotas", "user.role"]);
    site.env.finish().await;
}

/// A suspension ends all open streams within two seconds, and no credential works any more.
#[tokio::test]
async fn a_suspension_ends_everything_that_is_open() {
    let site = Site::new().await;
    let (eve_id, token) = invited(&site, "eve@test.example").await;
    let eve = site.anon.signed_in(&site.anon.post(ACCEPT, &accept(&token)).await.expect(200));
    let made = eve.create("first").await;
    let program = eve.post("/api/tokens", &json!({ "name": "program" })).await.expect(201);
    let program = site.anon.with_token(program.json["token"].as_str().unwrap());
    let events = format!("/api/jobs/{}/events", made.job);
    let mut open = Vec::new();
    for client in [&eve, &program] {
        let request = client.request("GET".parse().unwrap(), &events).header("accept", "text/event-stream");
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status().as_u16(), 200);
        open.push(stream);
    }
    site.admin.patch(&format!("{PATH}/{eve_id}"), &json!({ "suspended": true })).await.expect(200);
    for mut stream in open {
        let end = async { while let Ok(Some(_)) = stream.chunk().await {} };
        tokio::time::timeout(Duration::from_secs(20), end).await.expect("the stream ends");
    }
    assert_eq!(eve.get("/api/me").await.brief(), "401 unauthenticated");
    assert_eq!(program.get("/api/me").await.brief(), "401 invalid_token");
    let login = json!({ "email": "eve@test.example", "password": PASSWORD });
    assert_eq!(site.anon.post("/api/auth/login", &login).await.brief(), "401 invalid_credentials");

    site.admin.patch(&format!("{PATH}/{eve_id}"), &json!({ "suspended": false })).await.expect(200);
    assert_eq!(eve.get("/api/me").await.brief(), "401 unauthenticated", "the session is gone");
    program.get("/api/me").await.expect(200);
    program.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}

/// A stream ends with the credential that opened it.
#[tokio::test]
async fn a_revoked_token_ends_its_stream() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let token = site.ann.post("/api/tokens", &json!({ "name": "program" })).await.expect(201).json;
    let program = site.anon.with_token(token["token"].as_str().unwrap());
    let request = program.request("GET".parse().unwrap(), &format!("/api/jobs/{}/events", made.job));
    let mut stream = request.header("accept", "text/event-stream").send().await.unwrap();
    site.ann.delete(&format!("/api/tokens/{}", token["id"].as_str().unwrap())).await.expect(204);
    let end = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(Duration::from_secs(20), end).await.expect("the stream ends");
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}
