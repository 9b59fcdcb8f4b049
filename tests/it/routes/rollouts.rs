//! A rollout that excludes an instance.

use clawdeploy_tests::{FakeMode, TestEnv};
use serde_json::{Value, json};

use super::Site;
use crate::{
    support::{running, wait_job},
    update::support::{on, retire},
};

const PATH: &str = "/api/admin/update-all";

fn but(exclude: &Value) -> Value {
    json!({ "rebuild": false, "exclude": exclude })
}

#[tokio::test]
async fn who_is_excluded_is_left_alone() {
    let site = Site::with(TestEnv::builder()).await;
    let (first, second) = (running(&site.env, "first").await, running(&site.env, "second").await);
    retire(&site.env).await;
    let asked = site.admin.post(PATH, &but(&json!([second.instance]))).await.expect(202);
    let job = asked.json["job"]["id"].as_str().unwrap().to_owned();
    site.env.add_worker(&on(FakeMode::Next)).await;
    wait_job(&site.env, &job, "succeeded").await;
    let shown = site.admin.get(&format!("{PATH}/{job}")).await.expect(200).json;
    let members: Vec<_> = shown["members"].as_array().unwrap().iter().collect();
    let status = |id: &str| members.iter().find(|member| member["instanceId"] == id).map(|member| &member["status"]);
    assert_eq!(status(&first.instance), Some(&json!("updated")), "{shown}");
    assert_eq!(status(&second.instance), Some(&json!("skipped")), "{shown}");
    assert_eq!((&shown["updated"], &shown["skipped"]), (&json!(1), &json!(1)));
    for (made, version) in [(&first, "2026.9.7"), (&second, "2026.9.6")] {
        assert_eq!(site.ann.instance(&made.instance).await["openclawVersion"], version);
    }
    site.env.finish().await;
}
