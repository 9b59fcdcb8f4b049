//! The API is killed: what it had accepted is done, what it had not leaves nothing, and who asks again gets the same.

use std::time::Duration;

use clawdeploy_tests::{TestEnv, process::Process, wait};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{say, succeeded};

const REQUESTS: usize = 8;

/// Requests under keys of their own, and a kill somewhere in the middle of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_among_requests() {
    killed_after(2).await;
}

/// Kills it as soon as there are so many instances.
async fn killed_after(instances: usize) {
    let env = TestEnv::builder().set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "100").build().await;
    env.watch().await;
    let ann = env.user("ann").await;
    let request = |n: usize, base: &str| {
        let body = json!({ "name": format!("number {n}") });
        let request =
            ann.at(base).request(Method::POST, "/api/instances").header("Idempotency-Key", format!("key {n}"));
        request.json(&body).send()
    };
    let first = async {
        let mut sent = tokio::task::JoinSet::new();
        for n in 0..REQUESTS {
            let answer = request(n, &env.base);
            sent.spawn(async move { Some((n, job_of(answer.await.ok()?).await?)) });
        }
        sent.join_all().await
    };
    let kill = async {
        let there = async || (env.rows("SELECT id FROM instances").await.len() >= instances).then_some(());
        env.wait_for("the first instances", Duration::from_secs(20), there).await;
        env.api.kill().await;
    };
    let (first, ()) = tokio::join!(first, kill);
    let known = env.rows("SELECT id FROM instances").await.len();
    let accepted: Vec<_> = first.into_iter().flatten().collect();
    say(&format!("killed after {instances}: {} answers, {known} instances", accepted.len()));
    assert!(known < REQUESTS, "it was killed too late to interrupt anything");
    assert!(known >= accepted.len(), "a 202 and nothing behind it");

    let (api, base) = second_api(&env).await;
    let mut jobs = std::collections::HashMap::new();
    for n in 0..REQUESTS {
        let job = job_of(request(n, &base).await.unwrap()).await.expect("a 202 for who asks again");
        jobs.insert(n, job);
    }
    for (n, job) in &accepted {
        assert_eq!(&jobs[n], job, "another job for the same key");
    }
    assert_eq!(env.rows("SELECT id FROM instances").await.len(), REQUESTS);
    for job in jobs.values() {
        succeeded(&env, job).await;
    }
    env.assert_invariants().await;
    assert!(api.terminate().await.success());
    env.finish().await;
}

/// The job that was accepted; nothing where the answer did not come whole.
async fn job_of(answer: reqwest::Response) -> Option<String> {
    let status = answer.status();
    let body: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
    assert_eq!(status.as_u16(), 202, "{body}");
    Some(body["job"]["id"].as_str()?.to_owned())
}

async fn second_api(env: &TestEnv) -> (Process, String) {
    let (api, base) = env.start_api(1, &[]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let up = async || {
        let answer = http.get(format!("{base}/healthz")).send().await.ok()?;
        answer.status().is_success().then_some(())
    };
    wait::poll(Duration::from_secs(20), up).await.expect("the other API");
    (api, base)
}
