//! Following jobs: what a stream tells, and what ends it.

use std::time::Duration;

use clawdeploy_shared::db::{
    follow::{Access, ended_access},
    user::Role,
};
use clawdeploy_tests::Client;
use reqwest::Method;
use serde_json::Value;
use tokio::{task::JoinHandle, time::timeout};

use super::{Site, sessions::browser};

mod cost;

/// Time limit of a stream on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Creates queued jobs of a user; returns their ids.
async fn jobs(site: &Site, name: &str, count: usize) -> Vec<String> {
    let owner = site.env.user_id(name, Role::User).await;
    let new = "INSERT INTO jobs (id, kind, queue, owner_id) SELECT gen_random_uuid(), 'noop', 'lifecycle'";
    site.env.execute(&format!("{new}, '{owner}' FROM generate_series(1, {count})")).await;
    let rows = site.env.rows(&format!("SELECT id FROM jobs WHERE owner_id = '{owner}' ORDER BY seq DESC")).await;
    rows.iter().take(count).map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Adds log lines to a job.
async fn log(site: &Site, job: &str, lines: usize) {
    let new = format!("SELECT '{job}', 0, 'log', 'line ' || n FROM generate_series(1, {lines}) n");
    site.env.execute(&format!("INSERT INTO job_events (job_id, attempt, kind, message) {new}")).await;
}

/// Removes the jobs, which nobody has accepted or run.
async fn remove_jobs(site: &Site) {
    site.env.execute("DELETE FROM job_events").await;
    site.env.execute("DELETE FROM jobs").await;
}

/// Opens the stream of a job after this event.
async fn follow(client: &Client, job: &str, after: Option<i64>) -> reqwest::Response {
    let request = client.request(Method::GET, &format!("/api/jobs/{job}/events")).header("accept", "text/event-stream");
    let request = after.into_iter().fold(request, |request, id| request.header("last-event-id", id));
    let response = request.timeout(Duration::from_mins(10)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response
}

/// Reads a stream to its end, which must come soon after this is awaited.
fn read(response: reqwest::Response) -> JoinHandle<String> {
    tokio::spawn(async move { timeout(SOON, response.text()).await.expect("the end of the stream").unwrap() })
}

fn ids(text: &str) -> Vec<i64> {
    text.lines().filter_map(|line| line.strip_prefix("id:")?.trim().parse().ok()).collect()
}

#[tokio::test]
async fn each_follower_hears_every_event_once_and_in_order() {
    let site = Site::new().await;
    let job = jobs(&site, "ann", 1).await.remove(0);
    site.env.execute("INSERT INTO job_events (job_id, attempt, kind) SELECT id, 0, 'accepted' FROM jobs").await;
    // More than one answer holds.
    log(&site, &job, 449).await;
    let known: Vec<i64> = site.env.rows("SELECT id FROM job_events ORDER BY id").await.iter().map(id).collect();
    let from_begin = read(follow(&site.ann, &job, None).await);
    let resumed = read(follow(&site.ann, &job, Some(known[299])).await);
    let admin = read(follow(&site.admin, &job, Some(known[449])).await);
    for _ in 0..20 {
        log(&site, &job, 3).await;
    }
    site.ann.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
    let all: Vec<i64> = site.env.rows("SELECT id FROM job_events ORDER BY id").await.iter().map(id).collect();
    assert_eq!(all.len(), 450 + 60 + 1);
    for (reading, seen) in [(from_begin, 0), (resumed, 300), (admin, 450)] {
        let text = reading.await.unwrap();
        assert_eq!(ids(&text), all[seen..], "after {seen} events");
        assert!(text.trim_end().rsplit("\n\n").next().unwrap().starts_with("event: end"), "{text}");
    }
    site.env.finish().await;
}

fn id(row: &Value) -> i64 {
    row["id"].as_i64().unwrap()
}

#[tokio::test]
async fn a_stream_ends_with_the_access_that_opened_it() {
    let site = Site::new().await;
    let bobs = jobs(&site, "bob", 1).await.remove(0);
    let mut stays = follow(&site.bob, &bobs, None).await;
    let of = |name: &str| format!("(SELECT id FROM users WHERE email = '{name}@test.example')");
    for (name, by_cookie, end) in [
        ("cid", true, format!("DELETE FROM sessions WHERE user_id = {}", of("cid"))),
        (
            "dan",
            true,
            format!("UPDATE sessions SET last_seen_at = now() - interval '25 hours' WHERE user_id = {}", of("dan")),
        ),
        ("eli", false, format!("UPDATE api_tokens SET revoked_at = now() WHERE user_id = {}", of("eli"))),
        ("fay", false, format!("UPDATE api_tokens SET expires_at = now() WHERE user_id = {}", of("fay"))),
        ("gus", true, format!("UPDATE users SET suspended_at = now() WHERE id = {}", of("gus"))),
        ("hal", false, format!("UPDATE users SET role = 'admin' WHERE id = {}", of("hal"))),
        ("ida", false, format!("UPDATE jobs SET owner_id = {} WHERE owner_id = {}", of("bob"), of("ida"))),
    ] {
        let client = if by_cookie { browser(&site, name, "Laptop").await } else { site.env.user(name).await };
        let job = jobs(&site, name, 1).await.remove(0);
        let reading = read(follow(&client, &job, None).await);
        assert!(site.env.execute(&end).await > 0, "{name}");
        // Otherwise nobody looks at the job.
        if name == "ida" {
            log(&site, &job, 1).await;
        }
        let text = reading.await.unwrap();
        assert!(!text.contains("data:"), "{name}: {text}");
    }
    log(&site, &bobs, 1).await;
    let told = timeout(SOON, stays.chunk()).await.expect("an event").unwrap().expect("an open stream");
    assert!(told.starts_with(b"id:"), "{told:?}");
    drop(stays);
    remove_jobs(&site).await;
    site.env.finish().await;
}

/// Logs and usage are streams of a worker. Whether they may go on is asked here.
#[tokio::test]
async fn an_access_to_an_instance_ends_with_its_ownership() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let user = site.env.user_id("ann", Role::User).await;
    let own = Access { user, role: Role::User, session: None, token: None, instance: None };
    let inside = Access { instance: Some(made.instance.parse().unwrap()), ..own.clone() };
    let unknown = Access { instance: Some("zzzzzzzzzzzz".parse().unwrap()), ..own.clone() };
    let another = Access { role: Role::Admin, ..own.clone() };
    let asked = [own, inside.clone(), unknown.clone(), another.clone()];
    let ended = async || ended_access(&mut site.env.db.conn().await.unwrap(), &asked).await.unwrap();
    assert_eq!(ended().await, [unknown.clone(), another.clone()]);
    let bob = site.env.user_id("bob", Role::User).await;
    site.env.execute(&format!("UPDATE instances SET owner_id = '{bob}'")).await;
    assert_eq!(ended().await, [inside, unknown, another]);
    site.env.execute(&format!("UPDATE instances SET owner_id = '{user}'")).await;
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}
