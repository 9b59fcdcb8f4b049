//! Setup of the first administrator.

use std::time::Duration;

use clawdeploy_tests::{TestEnv, cases::table};
use serde_json::{Value, json};

const SETUP: &str = "/api/auth/setup";

/// An installation without users, and the setup token in its log.
pub(crate) async fn empty() -> (TestEnv, String) {
    let env = TestEnv::builder().workers(0).build().await;
    let written = async || {
        let log = env.api.log();
        let (_, rest) = log.split_once("to create the first administrator")?;
        let (_, rest) = rest.split_once("token=\"")?;
        Some(rest.split('"').next()?.to_owned())
    };
    let token = env.wait_for("the token in the log", Duration::from_secs(10), written).await;
    assert_eq!(token.len(), 64);
    (env, token)
}

fn form(token: &str, email: &str) -> Value {
    json!({ "token": token, "email": email, "password": "canary horse battery" })
}

#[tokio::test]
async fn once_by_the_token_in_the_log() {
    let (env, token) = empty().await;
    let anon = env.anon();
    let options = anon.get("/api/auth/options").await.expect(200).json;
    assert_eq!(options, json!({ "setupRequired": true, "oidc": null }));
    let wrong = anon.post(SETUP, &form(&"0".repeat(64), "ann@test.example")).await;
    let bad = anon.post(SETUP, &json!({ "token": token, "email": "ann", "password": "short" })).await;
    insta::assert_snapshot!(table(&[("another token", wrong), ("a bad form", bad)]), @r"
    another token: 401 invalid_credentials
    a bad form: 422 validation_failed email: invalid, password: too_short
    ");

    let answer = anon.post(SETUP, &form(&token, " ann@test.example ")).await.expect(200);
    assert_eq!(
        (&answer.json["user"]["email"], &answer.json["user"]["role"]),
        (&json!("ann@test.example"), &json!("admin"))
    );
    let ann = anon.signed_in(&answer);
    ann.get("/api/admin/audit").await.expect(200);
    assert_eq!(anon.get("/api/auth/options").await.json["setupRequired"], false);
    assert_eq!(anon.post(SETUP, &form(&token, "eve@test.example")).await.brief(), "409 setup_done");
    assert!(env.rows("SELECT 1 AS one FROM setup_tokens").await.is_empty());
    let audit = env.row("SELECT action, actor FROM audit").await;
    assert_eq!(audit, json!({ "action": "user.create", "actor": "ann@test.example" }));
    env.finish().await;
}

#[tokio::test]
async fn of_many_at_once_one_becomes_the_administrator() {
    let (env, first) = empty().await;
    // Another API process has logged another token, and both are valid.
    let (other, _base) = env.start_api(1, &[]);
    let written = async || other.log().contains("to create the first administrator").then_some(());
    env.wait_for("its token", Duration::from_secs(20), written).await;
    let log = other.log();
    let second = log.split("token=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut asked = Vec::new();
    for n in 0..8 {
        let (anon, token) = (env.anon(), if n % 2 == 0 { first.clone() } else { second.clone() });
        asked.push(tokio::spawn(async move { anon.post(SETUP, &form(&token, &format!("p{n}@test.example"))).await }));
    }
    let mut made = 0;
    for one in asked {
        let answer = one.await.unwrap();
        match answer.brief().as_str() {
            "200" => made += 1,
            other => assert!(["409 setup_done", "429 rate_limited"].contains(&other), "{other}"),
        }
    }
    assert_eq!((made, env.rows("SELECT id FROM users").await.len()), (1, 1));
    env.finish().await;
}
