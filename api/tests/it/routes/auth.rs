//! Sign-in and sign-out.

use serde_json::json;

use super::{Site, bare, with};
use crate::support::PASSWORD;
use clawdeploy_tests::cases::redacted;

const LOGIN: &str = "/api/auth/login";

#[tokio::test]
async fn in_and_out() {
    let site = Site::new().await;
    site.env.account("eve@test.example").await;
    let answer =
        site.anon.post(LOGIN, &json!({ "email": " Eve@Test.example ", "password": PASSWORD })).await.expect(200);
    let cookie = answer.header("set-cookie").unwrap();
    let (value, attributes) = cookie.strip_prefix("__Host-clawdeploy=").unwrap().split_once(';').unwrap();
    assert_eq!((value.len(), attributes), (64, " Path=/; Max-Age=604800; Secure; HttpOnly; SameSite=Lax"));
    site.env.remember_secret(value);
    assert!(!answer.text.contains(value), "scripts cannot read it");
    insta::assert_json_snapshot!(redacted(&answer.json), @r#"
    {
      "expiresAt": "[time]",
      "user": {
        "createdAt": "[time]",
        "email": "eve@test.example",
        "id": "[uuid]",
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
    let eve = site.anon.signed_in(&answer);
    insta::assert_json_snapshot!(redacted(&eve.get("/api/me").await.expect(200).json), @r#"
    {
      "createdAt": "[time]",
      "email": "eve@test.example",
      "id": "[uuid]",
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
    "#);
    assert_eq!(site.anon.with_token(value).get("/api/me").await.brief(), "401 invalid_token");
    let out = eve.post_empty("/api/auth/logout").await.expect(204);
    assert!(out.header("set-cookie").unwrap().starts_with("__Host-clawdeploy=; Path=/; Max-Age=0;"));
    assert_eq!(eve.get("/api/me").await.brief(), "401 unauthenticated");
    assert_eq!(eve.post_empty("/api/auth/logout").await.brief(), "401 unauthenticated");
    let audit =
        site.env.rows("SELECT action, actor, client_ip FROM audit WHERE action LIKE 'auth.%' ORDER BY id").await;
    let line = |action| json!({ "action": action, "actor": "eve@test.example", "client_ip": "127.0.0.1" });
    assert_eq!(audit, [line("auth.login"), line("auth.logout")]);
    site.env.finish().await;
}

/// A sign-out with a token revokes it, because a program has no session.
#[tokio::test]
async fn a_program_signs_out() {
    let site = Site::new().await;
    site.bob.post_empty("/api/auth/logout").await.expect(204);
    assert_eq!(site.bob.get("/api/me").await.brief(), "401 invalid_token");
    site.env.finish().await;
}

/// Requests that a browser sends for a page of another site change nothing.
#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let site = Site::new().await;
    site.env.account("eve@test.example").await;
    let right = json!({ "email": "eve@test.example", "password": PASSWORD });
    let answer = site.anon.post(LOGIN, &right).await.expect(200);
    let eve = site.anon.signed_in(&answer);
    let cookie = eve.cookie().unwrap();
    let make = json!({ "name": "first" });
    let from = |headers: &[(&str, &str)]| {
        let request = with(&site.anon, "POST", "/api/instances", &make).header("cookie", cookie);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let login = |name: &str, value: &str| with(&site.anon, "POST", LOGIN, &right).header(name, value);
    let cases = vec![
        ("another site", from(&[("sec-fetch-site", "cross-site")])),
        ("a sibling", from(&[("sec-fetch-site", "same-site"), ("origin", &site.env.base)])),
        ("another origin", from(&[("origin", "https://evil.test")])),
        ("no origin that can be told", from(&[("origin", "null")])),
        ("nothing that tells", from(&[])),
        ("signing in as somebody else", login("origin", "https://evil.test")),
        ("two cookies", eve.request("POST".parse().unwrap(), "/api/instances").json(&make).header("cookie", cookie)),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    another site: 403 cross_site
    a sibling: 403 cross_site
    another origin: 403 cross_site
    no origin that can be told: 403 cross_site
    nothing that tells: 403 cross_site
    signing in as somebody else: 403 cross_site
    two cookies: 401 unauthenticated
    ");
    let made = site.anon.send(from(&[("origin", &site.env.base)])).await.accepted();
    eve.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
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

/// The response does not show whether the account exists.
#[tokio::test]
async fn wrong_ones_are_all_the_same() {
    let site = Site::new().await;
    site.env.account("eve@test.example").await;
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
    assert_eq!(Vec::from_iter(told), ["401 invalid_credentials \"The e-mail or password is incorrect.\""]);
    assert!(site.env.rows("SELECT id FROM sessions").await.is_empty());
    site.env.finish().await;
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let site = Site::new().await;
    site.env.account("eve@test.example").await;
    let wrong = json!({ "email": "eve@test.example", "password": "canary wrong one" });
    let guess = || with(&site.anon, "POST", LOGIN, &wrong);
    let mut answers = Vec::new();
    for n in 0..12 {
        // A client cannot choose its address, because no proxy is trusted here.
        answers.push(site.anon.send(guess().header("x-forwarded-for", format!("203.0.113.{n}"))).await);
    }
    let codes: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(codes, [[401; 10].as_slice(), &[429; 2]].concat());
    let wait: u64 = answers[11].header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    // A correct password is refused too; otherwise the response would confirm it.
    let right = site.anon.post(LOGIN, &json!({ "email": "eve@test.example", "password": PASSWORD })).await;
    assert_eq!(right.brief(), "429 rate_limited");
    site.env.finish().await;
}

/// All API processes count failed logins together.
#[tokio::test]
async fn guessing_at_another_process_is_no_way_round() {
    guess_at_two(&[]).await;
}

#[tokio::test]
async fn nor_is_it_while_redis_is_away() {
    guess_at_two(&[("CLAWDEPLOY_REDIS_URL", "redis://127.0.0.1:1/0")]).await;
}

async fn guess_at_two(settings: &[(&str, &str)]) {
    let mut site = Site::with(settings).await;
    let other = site.env.start_another().await;
    let wrong = json!({ "email": "eve@test.example", "password": "canary wrong one" });
    let mut codes = Vec::new();
    for n in 0..12 {
        let anon = if n % 2 == 0 { site.anon.clone() } else { site.anon.at(&other) };
        codes.push(anon.post(LOGIN, &wrong).await.status.as_u16());
    }
    assert_eq!(codes, [[401; 10].as_slice(), &[429; 2]].concat());
    site.env.finish().await;
}
