//! One's own password and authenticator app.

use chrono::Utc;
use clawdeploy_shared::totp;
use clawdeploy_tests::{Answer, Client};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Site, bare, with};

const LOGIN: &str = "/api/auth/login";
const PASSWORD: &str = "canary horse battery";
const EMAIL: &str = "eve@test.example";

async fn sign_in(site: &Site, form: &Value) -> Answer {
    site.anon.post(LOGIN, form).await
}

/// A browser in which Eve is signed in.
async fn eve(site: &Site) -> Client {
    site.env.account(EMAIL).await;
    site.anon.signed_in(&sign_in(site, &json!({ "email": EMAIL, "password": PASSWORD })).await.expect(200))
}

#[tokio::test]
async fn another_password_ends_the_other_sessions() {
    let site = Site::new().await;
    let (here, there) = (eve(&site).await, eve(&site).await);
    let path = "/api/me/password";
    let form = |current: &str, new: &str| json!({ "current": current, "new": new });
    let cases = vec![
        ("nobody", with(&site.anon, "POST", path, &form(PASSWORD, "canary other words"))),
        ("another password", with(&here, "POST", path, &form("canary wrong one", "canary other words"))),
        ("too short", with(&here, "POST", path, &form(PASSWORD, "short"))),
        ("who has none", with(&site.ann, "POST", path, &form("!", "canary other words"))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    nobody: 401 unauthenticated
    another password: 422 validation_failed current: wrong
    too short: 422 validation_failed new: too_short
    who has none: 422 validation_failed current: wrong
    ");
    here.post(path, &form(PASSWORD, "canary other words")).await.expect(204);
    here.get("/api/me").await.expect(200);
    assert_eq!(there.get("/api/me").await.brief(), "401 unauthenticated");
    let old = sign_in(&site, &json!({ "email": EMAIL, "password": PASSWORD })).await;
    assert_eq!(old.brief(), "401 invalid_credentials");
    sign_in(&site, &json!({ "email": EMAIL, "password": "canary other words" })).await.expect(200);
    site.env.finish().await;
}

#[tokio::test]
async fn an_app_is_set_up_used_and_removed() {
    let site = Site::new().await;
    let eve = eve(&site).await;
    let confirm = "/api/me/totp/confirm";
    assert_eq!(eve.post(confirm, &json!({ "code": "123456" })).await.brief(), "409 totp_not_prepared");
    let prepared = eve.post_empty("/api/me/totp").await.expect(200).json;
    let secret = prepared["secret"].as_str().unwrap().to_owned();
    assert_eq!(prepared["otpauthUrl"], format!("otpauth://totp/ClawDeploy:{EMAIL}?secret={secret}&issuer=ClawDeploy"));
    let sealed = site.env.row(&format!("SELECT totp_sealed FROM users WHERE email = '{EMAIL}'")).await;
    assert!(sealed["totp_sealed"].as_str().unwrap().starts_with("v1."), "{sealed}");
    let code =
        |later: i64| totp::code_at(&SecretString::from(secret.as_str()), Utc::now().timestamp() + later).unwrap();
    // No code is required before the app is confirmed.
    sign_in(&site, &json!({ "email": EMAIL, "password": PASSWORD })).await.expect(200);
    assert_eq!(eve.post(confirm, &json!({ "code": code(600) })).await.brief(), "422 validation_failed code: wrong");
    let confirmed = eve.post(confirm, &json!({ "code": code(-30) })).await.expect(200).json;
    let codes: Vec<_> = confirmed["recoveryCodes"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert_eq!((codes.len(), codes[0].len()), (10, 24));
    assert!(eve.get("/api/me").await.json["totpConfirmedAt"].is_string());

    let with_code = |code: &str| json!({ "email": EMAIL, "password": PASSWORD, "code": code });
    let of = |form: &Value| with(&site.anon, "POST", LOGIN, form);
    let required = vec![
        ("no code", of(&json!({ "email": EMAIL, "password": PASSWORD }))),
        ("set up again", bare(&eve, "POST", "/api/me/totp")),
        ("confirmed again", with(&eve, "POST", confirm, &json!({ "code": code(0) }))),
        ("removed without the password", with(&eve, "DELETE", "/api/me/totp", &json!({ "password": "canary no" }))),
    ];
    insta::assert_snapshot!(site.refusals(required).await, @r"
    no code: 401 second_factor_required
    set up again: 409 totp_enabled
    confirmed again: 409 totp_enabled
    removed without the password: 422 validation_failed password: wrong
    ");
    assert_eq!(sign_in(&site, &with_code("000000")).await.brief(), "401 invalid_code");
    let wrong = json!({ "email": EMAIL, "password": "canary wrong one", "code": code(0) });
    assert_eq!(sign_in(&site, &wrong).await.brief(), "401 invalid_credentials");
    let now = code(30);
    sign_in(&site, &with_code(&now)).await.expect(200);
    assert_eq!(sign_in(&site, &with_code(&now)).await.brief(), "401 invalid_code", "no code is good twice");
    sign_in(&site, &with_code(&codes[0].to_uppercase().replace('-', " "))).await.expect(200);
    assert_eq!(sign_in(&site, &with_code(codes[0])).await.brief(), "401 invalid_code", "nor a recovery code");
    let reasons = "SELECT DISTINCT detail->>'reason' AS reason FROM audit WHERE outcome = 'failure' ORDER BY 1";
    assert_eq!(
        site.env.rows(reasons).await,
        [json!({ "reason": "wrong code" }), json!({ "reason": "wrong password" })]
    );

    let removed = eve.request("DELETE".parse().unwrap(), "/api/me/totp").json(&json!({ "password": PASSWORD }));
    eve.send(removed).await.expect(204);
    sign_in(&site, &json!({ "email": EMAIL, "password": PASSWORD })).await.expect(200);
    assert!(site.env.rows("SELECT user_id FROM recovery_codes").await.is_empty());
    site.env.finish().await;
}

/// Of many simultaneous sign-ins with one code, only one succeeds.
#[tokio::test]
async fn a_code_signs_in_once_however_many_try() {
    let site = Site::new().await;
    let eve = eve(&site).await;
    let secret = eve.post_empty("/api/me/totp").await.expect(200).json["secret"].as_str().unwrap().to_owned();
    let code =
        |later: i64| totp::code_at(&SecretString::from(secret.as_str()), Utc::now().timestamp() + later).unwrap();
    eve.post("/api/me/totp/confirm", &json!({ "code": code(-30) })).await.expect(200);
    let form = json!({ "email": EMAIL, "password": PASSWORD, "code": code(30) });
    let asked: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn({
                let (anon, form) = (site.anon.clone(), form.clone());
                async move { anon.post(LOGIN, &form).await.status.as_u16() }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, [200, 401, 401, 401, 401]);
    site.env.finish().await;
}
