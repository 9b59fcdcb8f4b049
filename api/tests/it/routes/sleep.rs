//! Instances that sleep, and what wakes them. No worker runs: rows stand in for what it does.

use clawdeploy_tests::client::Accepted;
use serde_json::{Value, json};

use super::{Site, with};

/// An instance of ann's that fell asleep.
pub(super) async fn sleeping(site: &Site) -> Accepted {
    let made = site.ann.create("sleepy").await;
    done(site).await;
    let sql = "UPDATE instances SET status = 'stopped', desired_state = 'stopped', container_id = 'c', image_id = 'i', \
               asleep_since = now() - interval '1 hour', wake_at = now() + interval '1 day'";
    site.env.execute(sql).await;
    made
}

async fn done(site: &Site) {
    site.env.execute("UPDATE jobs SET status = 'succeeded', finished_at = now() WHERE status = 'queued'").await;
}

/// The rows have no containers.
pub(super) async fn finish(site: Site) {
    site.env.execute("TRUNCATE instances, jobs CASCADE").await;
    site.env.finish().await;
}

/// What a browser sees at the address of an instance.
async fn page(site: &Site, id: &str) -> String {
    let path = format!("/pages/instances/{id}");
    let asked = site.anon.request(reqwest::Method::GET, &path).header("accept", "text/html");
    let answer = site.anon.send(asked).await;
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.text);
    answer.text
}

pub(super) async fn open_jobs(site: &Site) -> Vec<Value> {
    site.env.rows("SELECT id, kind, requested_by FROM jobs WHERE status = 'queued'").await
}

pub(super) async fn instance(site: &Site, id: &str) -> Value {
    site.ann.get(&format!("/api/instances/{id}")).await.expect(200).json
}

#[tokio::test]
async fn whoever_opens_its_address_wakes_it() {
    let site = Site::new().await;
    let id = sleeping(&site).await.instance;
    let seen = instance(&site, &id).await;
    assert_eq!((&seen["status"], &seen["lastWake"]), (&json!("stopped"), &Value::Null));
    assert!(seen["asleep"]["since"].is_string() && seen["asleep"]["wakesAt"].is_string(), "{seen}");

    let first = page(&site, &id).await;
    assert!(first.contains("Waking up") && first.contains("refresh"), "{first}");
    let jobs = open_jobs(&site).await;
    assert_eq!((jobs.len(), &jobs[0]["kind"], &jobs[0]["requested_by"]), (1, &json!("start"), &Value::Null));
    // The next visit finds it starting.
    assert!(!page(&site, &id).await.contains("Waking up"));
    assert_eq!(open_jobs(&site).await, jobs);
    let seen = instance(&site, &id).await;
    assert_eq!((&seen["asleep"], &seen["desiredState"]), (&Value::Null, &json!("running")));
    assert_eq!(seen["lastWake"]["by"], "address");
    finish(site).await;
}

#[tokio::test]
async fn its_dashboard_and_terminals_wake_it_for_its_owner_only() {
    for (path, by) in [("dashboard-link", "dashboard"), ("terminals", "terminal")] {
        let site = Site::new().await;
        let id = sleeping(&site).await.instance;
        let path = format!("/api/instances/{id}/{path}");
        for client in [&site.bob, &site.admin] {
            assert_eq!(client.post_empty(&path).await.code(), "not_found");
        }
        assert!(open_jobs(&site).await.is_empty());
        let refused = site.ann.post_empty(&path).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "waking"), "{}", refused.text);
        assert_eq!(refused.json["job"]["kind"], "start");
        // The same job until it has ended.
        let again = site.ann.post_empty(&path).await;
        assert_eq!((again.code(), &again.json["job"]["id"]), ("waking", &refused.json["job"]["id"]));
        assert_eq!(instance(&site, &id).await["lastWake"]["by"], by);
        finish(site).await;
    }
}

/// While the job that stops it is still at work, it cannot be started yet.
#[tokio::test]
async fn one_that_is_falling_asleep_is_waited_for() {
    let site = Site::new().await;
    let made = sleeping(&site).await;
    site.env.execute("UPDATE instances SET status = 'stopping'").await;
    site.env.execute("UPDATE jobs SET status = 'queued', kind = 'stop', finished_at = NULL").await;
    let refused = site.ann.post_empty(&format!("/api/instances/{}/dashboard-link", made.instance)).await;
    assert_eq!((refused.code(), &refused.json["job"]["id"]), ("waking", &json!(made.job)));
    assert!(page(&site, &made.instance).await.contains("Waking up"));
    // Nobody opens anything in it meanwhile, also before the job has begun.
    site.env.execute("UPDATE instances SET status = 'running'").await;
    let refused = site.ann.post_empty(&format!("/api/instances/{}/terminals", made.instance)).await;
    assert_eq!((refused.code(), &refused.json["job"]["id"]), ("waking", &json!(made.job)));
    done(&site).await;
    site.env.execute("UPDATE instances SET status = 'stopped'").await;
    let refused = site.ann.post_empty(&format!("/api/instances/{}/dashboard-link", made.instance)).await;
    assert_eq!((refused.code(), &refused.json["job"]["kind"]), ("waking", &json!("start")));
    finish(site).await;
}

#[tokio::test]
async fn one_that_was_stopped_for_good_stays_so() {
    let site = Site::new().await;
    let id = sleeping(&site).await.instance;
    // Nothing is left to do: the job is the one that let it fall asleep.
    site.env.execute("UPDATE jobs SET kind = 'stop'").await;
    let slept = site.env.row("SELECT id FROM jobs").await["id"].clone();
    let stop = site.ann.post_empty(&format!("/api/instances/{id}/stop")).await.accepted();
    assert_eq!(
        (stop.job.as_str(), stop.answer.header("idempotency-replayed")),
        (slept.as_str().unwrap(), Some("true"))
    );
    assert_eq!(instance(&site, &id).await["asleep"], Value::Null);
    assert_eq!(site.ann.post_empty(&format!("/api/instances/{id}/stop")).await.code(), "already_stopped");
    assert!(page(&site, &id).await.contains("<h1>Stopped</h1>"));
    assert_eq!(site.ann.post_empty(&format!("/api/instances/{id}/dashboard-link")).await.code(), "not_running");
    assert!(open_jobs(&site).await.is_empty());
    finish(site).await;
}

#[tokio::test]
async fn a_start_wakes_it_too_and_says_so() {
    let site = Site::new().await;
    let id = sleeping(&site).await.instance;
    site.ann.post_empty(&format!("/api/instances/{id}/start")).await.expect(202);
    let seen = instance(&site, &id).await;
    assert_eq!((&seen["asleep"], &seen["lastWake"]["by"]), (&Value::Null, &json!("start")));
    finish(site).await;
}

#[tokio::test]
async fn a_host_without_room_lets_it_sleep_and_says_so() {
    let settings = [("CLAWDEPLOY_MEMORY_OVERCOMMIT", "1"), ("CLAWDEPLOY_RESERVED_MEMORY_MB", "0")];
    let site = Site::with(&settings).await;
    let id = sleeping(&site).await.instance;
    site.env
        .execute(
            "INSERT INTO workers (id, host, pid, version, queues, concurrency, running, memory_mb) \
             VALUES ('w', 'h', 1, '0', '{}', 0, 0, 2047)",
        )
        .await;
    let shown = page(&site, &id).await;
    assert!(shown.contains("<h1>Asleep</h1>") && shown.contains("no room"), "{shown}");
    assert_eq!(site.ann.post_empty(&format!("/api/instances/{id}/dashboard-link")).await.code(), "host_full");
    assert!(open_jobs(&site).await.is_empty());
    assert!(instance(&site, &id).await["asleep"].is_object(), "it still sleeps");
    finish(site).await;
}

#[tokio::test]
async fn when_it_falls_asleep_is_its_owners_choice() {
    let site = Site::with(&[("CLAWDEPLOY_SLEEP_MINUTES", "30")]).await;
    let made = site.ann.create("first").await;
    let path = format!("/api/instances/{}", made.instance);
    let minutes = async |client: &clawdeploy_tests::Client, minutes: Value| {
        let edited = client.patch(&path, &json!({ "sleepMinutes": minutes })).await.expect(200).json;
        assert_eq!(edited["pendingChanges"], json!([]));
        (edited["sleepMinutes"].clone(), edited["sleepsAfterMinutes"].clone())
    };
    assert_eq!(minutes(&site.ann, json!(5)).await, (json!(5), json!(5)));
    assert_eq!(minutes(&site.ann, json!(0)).await, (json!(0), Value::Null));
    assert_eq!(minutes(&site.ann, Value::Null).await, (Value::Null, json!(30)));
    // Other changes leave it alone.
    minutes(&site.ann, json!(60)).await;
    let renamed = site.ann.patch(&path, &json!({ "name": "second" })).await.expect(200).json;
    assert_eq!(renamed["sleepMinutes"], 60);
    let cases = vec![
        ("too long", with(&site.ann, "PATCH", &path, &json!({ "sleepMinutes": 10_081 }))),
        ("negative", with(&site.ann, "PATCH", &path, &json!({ "sleepMinutes": -1 }))),
        ("a word", with(&site.ann, "PATCH", &path, &json!({ "sleepMinutes": "never" }))),
        ("of another", with(&site.bob, "PATCH", &path, &json!({ "sleepMinutes": 5 }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    too long: 422 validation_failed sleepMinutes: out_of_range
    negative: 422 validation_failed sleepMinutes: out_of_range
    a word: 400 invalid_body sleepMinutes: invalid
    of another: 404 not_found
    ");
    // With a channel it would miss messages, unless its owner wants that.
    site.env.execute("UPDATE instances SET channel = 'telegram', sleep_minutes = NULL").await;
    assert_eq!(instance(&site, &made.instance).await["sleepsAfterMinutes"], Value::Null);
    assert_eq!(minutes(&site.ann, json!(5)).await, (json!(5), json!(5)));
    finish(site).await;
}
