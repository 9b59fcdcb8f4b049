//! The main user story in a browser, through nginx.

use clawdeploy_tests::{
    Image, TestEnv,
    nginx::{BASE_DOMAIN, SITE},
};
use serde_json::Value;

use crate::{
    routing::behind,
    support::account,
    ui::{EMAIL, walk},
};

#[tokio::test]
async fn from_the_sign_in_to_the_end_of_an_instance() {
    // A gateway whose channel cannot be reached uses its whole time to stop.
    let (env, nginx) =
        behind(TestEnv::builder().image(Image::Real).ready(600.0).set("CLAWDEPLOY_STOP_SECONDS", "8")).await;
    account(&env, EMAIL).await;
    let resolve = format!("MAP *.{BASE_DOMAIN} 127.0.0.1, MAP {SITE} 127.0.0.1");
    let data = env.data_dir.display().to_string();
    let variables = [("CLAWDEPLOY_TEST_DATA", data.as_str())];
    walk(&env, "story.mjs", &nginx.site(), &["--resolve", &resolve], &variables).await;
    assert_eq!(env.rows("SELECT id FROM instances").await, Vec::<Value>::new());
    let ended = env.rows("SELECT kind FROM jobs WHERE status = 'succeeded' ORDER BY created_at").await;
    let ended: Vec<_> = ended.iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert_eq!(ended, ["provision", "stop", "start", "delete"]);
    env.finish().await;
}
