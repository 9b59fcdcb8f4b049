//! Signing in and out.

use std::process::Stdio;

use clawdeploy_tests::{TestEnv, programs::Program};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{Site, bare, with};
use crate::support::redacted;

const LOGIN: &str = "/api/auth/login";
const PASSWORD: &str = "canary horse battery";

/// An account with a password, made as an operator makes one.
async fn account(env: &TestEnv, email: &str) {
    let arguments = ["user", "create", "--email", email, "--name", "Eve", "--password-stdin"];
    let mut command = Command::new(Program::Api.path());
    command.args(arguments).env_clear().envs(env.settings().iter().cloned());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).await.unwrap();
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn in_and_out() {
    let site = Site::new().await;
    account(&site.env, "eve@test.example").await;
    let answer =
        site.anon.post(LOGIN, &json!({ "email": " Eve@Test.example ", "password": PASSWORD })).await.expect(200);
    let token = answer.json["token"].as_str().unwrap();
    site.env.remember_secret(token);
    insta::assert_json_snapshot!(redacted(&answer.json), @r#"
    {
      "expiresAt": "[time]",
      "token": "[token]",
      "user": {
        "createdAt": "[time]",
        "email": "eve@test.example",
        "id": "[uuid]",
        "name": "Eve",
        "role": "user",
        "suspendedAt": null
      }
    }
    "#);
    let eve = site.anon.with_token(token);
    insta::assert_json_snapshot!(redacted(&eve.get("/api/me").await.expect(200).json), @r#"
    {
      "createdAt": "[time]",
      "email": "eve@test.example",
      "id": "[uuid]",
      "name": "Eve",
      "role": "user",
      "suspendedAt": null
    }
    "#);
    eve.post_empty("/api/auth/logout").await.expect(204);
    assert_eq!(eve.get("/api/me").await.brief(), "401 invalid_token");
    assert_eq!(eve.post_empty("/api/auth/logout").await.brief(), "401 invalid_token");
    let audit = site.env.rows("SELECT action, actor, client_ip FROM audit WHERE action LIKE 'auth.%'").await;
    assert_eq!(audit, [json!({ "action": "auth.login", "actor": "eve@test.example", "client_ip": "127.0.0.1" })]);
    site.env.finish().await;
}

#[tokio::test]
async fn unacceptable_forms() {
    let site = Site::new().await;
    let form = |form| with(&site.anon, "POST", LOGIN, &form);
    let cases = vec![
        ("no body", bare(&site.anon, "POST", LOGIN)),
        ("no password", form(json!({ "email": "eve@test.example" }))),
        ("no e-mail", form(json!({ "password": PASSWORD }))),
        ("another field", form(json!({ "email": "eve@test.example", "password": PASSWORD, "role": "admin" }))),
        ("a password that is none", form(json!({ "email": "eve@test.example", "password": 1 }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no body: 415 unsupported_media_type
    no password: 400 invalid_body password: required
    no e-mail: 400 invalid_body email: required
    another field: 400 unknown_field role: unknown_field
    a password that is none: 400 invalid_body password: invalid
    ");
    site.env.finish().await;
}

/// The answer does not tell whether there is such an account.
#[tokio::test]
async fn wrong_ones_are_all_the_same() {
    let site = Site::new().await;
    account(&site.env, "eve@test.example").await;
    let suspended = "UPDATE users SET suspended_at = now() WHERE email = 'ann@test.example'";
    site.env.execute(suspended).await;
    let long = "x".repeat(5000);
    let mut told = std::collections::BTreeSet::new();
    for (email, password) in [
        ("eve@test.example", "canary wrong one"),
        ("nobody@test.example", PASSWORD),
        ("ann@test.example", PASSWORD),
        ("eve@test.example", ""),
        ("eve@test.example", long.as_str()),
        ("eve\u{0}@test.example", PASSWORD),
    ] {
        let answer = site.anon.post(LOGIN, &json!({ "email": email, "password": password })).await.expect(401);
        told.insert(format!("{} {}", answer.brief(), answer.json["detail"]));
    }
    assert_eq!(Vec::from_iter(told), ["401 invalid_credentials \"E-mail or password is wrong.\""]);
    let tokens = site.env.rows("SELECT id FROM api_tokens WHERE kind = 'login'").await;
    assert!(tokens.is_empty());
    site.env.finish().await;
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let site = Site::new().await;
    account(&site.env, "eve@test.example").await;
    let wrong = json!({ "email": "eve@test.example", "password": "canary wrong one" });
    let guess = || with(&site.anon, "POST", LOGIN, &wrong);
    let mut answers = Vec::new();
    for n in 0..12 {
        // A client that claims to be many is still one: nobody in front of the API is trusted to say who it is.
        answers.push(site.anon.send(guess().header("x-forwarded-for", format!("203.0.113.{n}"))).await);
    }
    let codes: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(codes, [[401; 10].as_slice(), &[429; 2]].concat());
    let wait: u64 = answers[11].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    // The right password has to wait as well: otherwise the answer would still tell.
    let right = site.anon.post(LOGIN, &json!({ "email": "eve@test.example", "password": PASSWORD })).await;
    assert_eq!(right.brief(), "429 rate_limited");
    site.env.finish().await;
}
