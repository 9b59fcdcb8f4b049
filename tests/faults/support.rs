//! Shared helpers.

use std::time::Duration;

use clawdeploy_tests::{Client, TestEnv, client::Accepted, process::Process, wait};
use reqwest::Method;
use serde_json::{Value, json};

/// Includes a lease, several pauses between retries, and a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

#[expect(clippy::print_stderr, reason = "shown where a test fails")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

pub(crate) async fn job(env: &TestEnv, id: &str) -> Value {
    env.row(&format!("SELECT * FROM jobs WHERE id = '{id}'")).await
}

/// Waits for any end of a job.
pub(crate) async fn ended(env: &TestEnv, id: &str) -> Value {
    let over = async || {
        let job = job(env, id).await;
        matches!(job["status"].as_str(), Some("succeeded" | "failed" | "cancelled")).then_some(job)
    };
    env.wait_for(&format!("the end of job {id}"), PATIENCE, over).await
}

pub(crate) async fn succeeded(env: &TestEnv, id: &str) -> Value {
    let job = ended(env, id).await;
    assert_eq!(job["status"], "succeeded", "{} ended with {} {}", job["kind"], job["error_code"], job["error_message"]);
    job
}

pub(crate) async fn wait_step(env: &TestEnv, job: &str, step: &str) {
    let sql = format!("SELECT id FROM job_events WHERE job_id = '{job}' AND kind = 'step_started' AND step = '{step}'");
    let begun = async || (!env.rows(&sql).await.is_empty()).then_some(());
    env.wait_for(&format!("step {step} of job {job}"), PATIENCE, begun).await;
}

/// How often the fake gateway of an instance was started.
pub(crate) fn starts(env: &TestEnv, instance: &str) -> usize {
    let log = env.data_dir.join(instance).join("config/starts.log");
    std::fs::read_to_string(log).unwrap_or_default().lines().count()
}

/// Sends a request like a robust client: it repeats it with the same key until there is a response other than 503. If a
/// response was lost, a "job in progress" of the same kind is the requested job.
pub(crate) async fn ask(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Accepted {
    let key = format!("{:032x}", rand::random::<u128>());
    let unsure = std::cell::Cell::new(false);
    let answered = async || {
        let before = unsure.replace(true);
        let request = client.request(method.clone(), path).header("Idempotency-Key", &key);
        let request = request.timeout(Duration::from_secs(15));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        if status >= 500 {
            assert_eq!(status, 503, "{method} {path} answered {status} {text}");
            return None;
        }
        let json: Value = serde_json::from_str(&text).unwrap();
        let job = &json["job"];
        if before && json["code"] == "job_in_progress" && path.ends_with(job["kind"].as_str().unwrap()) {
            return Some((job["instanceId"].as_str().unwrap().to_owned(), job["id"].as_str().unwrap().to_owned()));
        }
        assert_eq!(status, 202, "{method} {path} answered {status} {text}");
        Some((json["instance"]["id"].as_str().unwrap().to_owned(), job["id"].as_str().unwrap().to_owned()))
    };
    let (instance, job) = wait::poll(PATIENCE, answered).await.expect("an answer of the API");
    accepted(instance, job)
}

/// A job on an instance whose response is not used, or that nobody requested.
pub(crate) fn accepted(instance: String, job: String) -> Accepted {
    Accepted { instance, job, answer: nothing() }
}

/// A placeholder for a response that is not used.
fn nothing() -> clawdeploy_tests::Answer {
    let (request, text) = (String::new(), String::new());
    let (status, headers) = (reqwest::StatusCode::ACCEPTED, reqwest::header::HeaderMap::new());
    clawdeploy_tests::Answer { request, status, headers, text, json: Value::Null }
}

pub(crate) async fn create(client: &Client, name: &str) -> Accepted {
    ask(client, Method::POST, "/api/instances", Some(&json!({ "name": name }))).await
}

/// Waits for `text` in the log of a program.
pub(crate) async fn logged(env: &TestEnv, program: &Process, text: &str) {
    let told = async || program.log().contains(text).then_some(());
    env.wait_for(&format!("{text:?} in the log of {}", program.name), PATIENCE, told).await;
}
