//! `Idempotency-Key`: a repeated request whose result is gone.

use clawdeploy_tests::TestEnv;
use serde_json::json;

use super::{Site, with};
use crate::support::{deleted, wait_job};

#[tokio::test]
async fn what_it_made_is_gone() {
    let site = Site::with(TestEnv::builder()).await;
    let request =
        || with(&site.ann, "POST", "/api/instances", &json!({ "name": "first" })).header("Idempotency-Key", "k1");
    let made = site.ann.send(request()).await.accepted();
    wait_job(&site.env, &made.job, "succeeded").await;
    deleted(&site.env, &made.instance).await;
    insta::assert_snapshot!(site.refusals(vec![("again", request())]).await, @"again: 409 instance_gone");
    site.env.finish().await;
}
