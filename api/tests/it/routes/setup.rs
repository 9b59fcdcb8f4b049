//! Setup of the first administrator.

use serde_json::{Value, json};

use super::{Site, with};

const SETUP: &str = "/api/auth/setup";

fn form(token: &str, email: &str) -> Value {
    json!({ "token": token, "email": email, "password": "canary horse battery" })
}

#[tokio::test]
async fn not_where_somebody_is() {
    let site = Site::new().await;
    site.env.execute("INSERT INTO setup_tokens (token_hash) VALUES (sha256('canary'))").await;
    let cases = vec![("somebody is there", with(&site.anon, "POST", SETUP, &form("canary", "eve@test.example")))];
    insta::assert_snapshot!(site.refusals(cases).await, @"somebody is there: 409 setup_done");
    site.env.finish().await;
}
