//! Terminals of users with a token of an identity provider. Signing in is tested in `api/tests/it/identity.rs`.

use std::time::{SystemTime, UNIX_EPOCH};

use clawdeploy_tests::{
    Client, FakeMode, TestEnv,
    identity_provider::IdentityProvider,
    terminal::{Attach, open, ticket},
};
use serde_json::json;

use crate::support::running;

const PANEL: &str = "http://panel.test";

fn in_seconds(seconds: i64) -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + seconds
}

/// A terminal that was opened with such a token ends when the token expires, unless its owner presents a newer one in
/// time.
#[tokio::test]
async fn a_terminal_ends_with_the_token_that_opened_it() {
    let provider = IdentityProvider::start(&format!("{PANEL}/api/auth/oidc/callback")).await;
    let env = TestEnv::builder()
        .image(FakeMode::Shell)
        .set("CLAWDEPLOY_PUBLIC_URL", PANEL)
        .set("CLAWDEPLOY_OIDC_ISSUER", &provider.issuer)
        .set("CLAWDEPLOY_OIDC_ACCOUNTS", "email")
        .set("CLAWDEPLOY_OIDC_CLIENT_ID", "panel")
        .set("CLAWDEPLOY_OIDC_CLIENT_SECRET", &provider.secret)
        .set("CLAWDEPLOY_OIDC_PARTIES", "https://app.test")
        .build()
        .await;
    let made = running(&env, "first").await;
    let token = async |seconds: i64| {
        let claims = json!({
            "iss": provider.issuer, "sub": "user_1", "azp": "https://app.test", "exp": in_seconds(seconds),
            "email": "ann@test.example", "email_verified": true,
        });
        env.anon().with_token(&provider.sign(&json!({}), &claims).await)
    };
    let attach = async |client: &Client| {
        let (id, ticket) = open(client, &made.instance, &json!({})).await;
        let path = format!("/api/terminals/{id}/ws");
        let attach = Attach { base: &env.base, path, origin: Some(PANEL), ticket: Some(&ticket), token: None };
        let mut terminal = attach.open().await.unwrap();
        terminal.greeted().await;
        (terminal, id)
    };
    let client = token(8).await;
    let (mut ends, short) = attach(&client).await;
    let (mut stays, long) = attach(&client).await;
    ticket(&token(600).await, &long).await;
    assert_eq!(ends.ended().await, Some(4401));
    let of = |id: &str| format!("SELECT end_reason, good_until <= now() AS over FROM terminals WHERE id = '{id}'");
    let ended = async || env.rows(&of(&short)).await.into_iter().find(|row| !row["end_reason"].is_null());
    let row = env.wait_for("its end to be noted", std::time::Duration::from_secs(10), ended).await;
    assert_eq!(row, json!({ "end_reason": "signed_out", "over": true }));
    stays.quiet().await;
    assert_eq!(env.row(&of(&long)).await, json!({ "end_reason": null, "over": false }));
    env.finish().await;
}
