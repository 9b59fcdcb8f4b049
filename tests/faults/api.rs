//! The API or its clients are killed: accepted requests are completed, unfinished ones leave nothing, and a repeated
//! request gets the same response.

use std::time::Duration;

use clawdeploy_tests::{TestEnv, process::Process, wait};
use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{say, succeeded};

const REQUESTS: usize = 8;

/// The API is killed in the middle of several requests with idempotency keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_among_requests() {
    killed_after(2).await;
}

/// Kills the API as soon as there are so many instances.
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
    assert!(known >= accepted.len(), "an accepted instance is missing");

    let (api, base) = second_api(&env).await;
    let mut jobs = std::collections::HashMap::new();
    for n in 0..REQUESTS {
        let job = job_of(request(n, &base).await.unwrap()).await.expect("a 202 for a repeated request");
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

/// Clients disconnect in the middle of the request, of its transaction, or of the response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_hang_up() {
    // Few connections, so that one that a dropped request leaked would be missing.
    let env = TestEnv::builder()
        .set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "100")
        .set("CLAWDEPLOY_DATABASE_CONNECTIONS", "4")
        .build()
        .await;
    env.watch().await;
    let ann = env.user("ann").await;
    let (token, body) = (ann.token().unwrap(), json!({ "name": "half" }).to_string());
    let head = |n: usize, length: usize| {
        format!(
            "POST /api/instances HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\nidempotency-key: key {n}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    // Incomplete requests.
    for n in 0..8 {
        drop(send(&env, &format!("{}{}", head(n, body.len()), &body[..n])).await);
    }
    assert_eq!(
        env.rows("SELECT id FROM instances").await,
        Vec::<Value>::new(),
        "an incomplete request changed something"
    );

    // The client disconnects while the request's transaction waits for this lock.
    let mut conn = env.connect().await;
    conn.batch_execute("BEGIN; LOCK TABLE audit IN EXCLUSIVE MODE").await.unwrap();
    let connection = send(&env, &request(&head, 100)).await;
    let waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let waits = async || (!env.rows(waiting).await.is_empty()).then_some(());
    env.wait_for("the request to be in its transaction", Duration::from_secs(20), waits).await;
    drop(connection);
    // Time for the API to notice.
    tokio::time::sleep(Duration::from_millis(500)).await;
    conn.batch_execute("ROLLBACK").await.unwrap();

    // Clients disconnect at various moments, from before the request is read to after the response.
    for n in 0..10_u64 {
        let connection = send(&env, &request(&head, 200 + usize::try_from(n).unwrap())).await;
        tokio::time::sleep(Duration::from_millis(4 * n)).await;
        drop(connection);
    }
    let whole = async || {
        let open = env.rows("SELECT id FROM jobs WHERE status IN ('queued', 'running')").await;
        let (rows, jobs, told) = (
            "SELECT id FROM instances",
            "SELECT id FROM jobs",
            "SELECT id FROM audit WHERE action = 'instance.create'",
        );
        let counts = [env.rows(rows).await.len(), env.rows(jobs).await.len(), env.rows(told).await.len()];
        (open.is_empty() && counts.iter().all(|count| *count == counts[0])).then_some(counts[0])
    };
    let made = env.wait_for("as many instances as jobs and entries", Duration::from_mins(2), whole).await;
    say(&format!("{made} of 11 requests were done although nobody waited for them"));
    assert!(made >= 1, "the request in its transaction was not completed");
    env.assert_no_open_transaction().await;
    // A repeated request with the same key gets the instance that was created, and no connection of the API is lost.
    let again = ann.request(Method::POST, "/api/instances").header("Idempotency-Key", "key 100");
    let again = ann.send(again.json(&json!({ "name": "half 100" }))).await.accepted();
    assert_eq!(again.answer.header("idempotency-replayed"), Some("true"));
    let mut many = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let ann = ann.clone();
        many.spawn(async move { ann.get("/api/instances").await.status.as_u16() });
    }
    assert!(many.join_all().await.into_iter().all(|status| status == 200));
    env.assert_invariants().await;
    env.finish().await;
}

/// A complete request for an instance with its own name.
fn request(head: &impl Fn(usize, usize) -> String, n: usize) -> String {
    let body = json!({ "name": format!("half {n}") }).to_string();
    format!("{}{body}", head(n, body.len()))
}

/// Sends text on a new connection, which is closed when it is dropped.
async fn send(env: &TestEnv, text: &str) -> tokio::net::TcpStream {
    let address = env.base.trim_start_matches("http://");
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

/// The accepted job. `None`: the response was incomplete.
async fn job_of(answer: reqwest::Response) -> Option<String> {
    let status = answer.status();
    let body: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
    assert_eq!(status.as_u16(), 202, "{body}");
    Some(body["job"]["id"].as_str()?.to_owned())
}

async fn second_api(env: &TestEnv) -> (Process, String) {
    let (api, base) = env.start_api(1, &[]);
    let http = clawdeploy_tests::http().build().unwrap();
    let up = async || {
        let answer = http.get(format!("{base}/healthz")).send().await.ok()?;
        answer.status().is_success().then_some(())
    };
    wait::poll(Duration::from_secs(20), up).await.expect("the other API");
    (api, base)
}
