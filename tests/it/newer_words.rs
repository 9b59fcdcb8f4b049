//! During an upgrade, an older program finds values in the database that it does not know: job kinds, statuses, kinds
//! of events. None of them may affect other rows.

use std::time::Duration;

use clawdeploy_shared::{
    db::job::{self, NewJob},
    job::JobKind,
};
use clawdeploy_tests::TestEnv;
use diesel_async::SimpleAsyncConnection as _;

use crate::support::{instance, job as row, wait_job};

/// The migration of a newer version.
const OPEN: &str = "ALTER TABLE jobs DROP CONSTRAINT jobs_kind_known; \
    ALTER TABLE job_events DROP CONSTRAINT job_events_kind_known; \
    ALTER TABLE instances DROP CONSTRAINT instances_status_known; \
    ALTER TABLE users DROP CONSTRAINT users_role_known";

async fn accepted(env: &TestEnv, kind: &str) -> String {
    let mut conn = env.connect().await;
    let id = job::insert(&mut conn, &NewJob::new(JobKind::Noop)).await.unwrap().id;
    conn.batch_execute(&format!("UPDATE jobs SET kind = '{kind}' WHERE id = '{id}'")).await.unwrap();
    id.to_string()
}

/// A job of an unknown kind stays queued; other jobs, claimed at the same time, run.
#[tokio::test]
async fn a_kind_of_job_that_is_not_known_harms_no_neighbour() {
    let env = TestEnv::builder().workers(0).build().await;
    env.connect().await.batch_execute(OPEN).await.unwrap();
    let newer = accepted(&env, "teleport").await;
    let neighbours = [accepted(&env, "noop").await, accepted(&env, "noop").await];
    env.add_worker(&clawdeploy_tests::env::WorkerOptions::default()).await;
    for id in &neighbours {
        let done = wait_job(&env, id, "succeeded").await;
        assert_eq!((&done["attempt"], &done["crashes"]), (&1.into(), &0.into()), "{done}");
    }
    let waits = row(&env, &newer).await;
    assert_eq!((&waits["status"], &waits["attempt"]), (&"queued".into(), &0.into()), "{waits}");

    // The list has all three jobs, and the queues' counts include the unknown one.
    let admin = env.admin().await;
    let list = admin.get("/api/admin/jobs").await.expect(200).json;
    let kinds: Vec<_> = list["items"].as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["noop", "noop", "unknown"]);
    let one = admin.get(&format!("/api/jobs/{newer}")).await.expect(200).json;
    assert_eq!((&one["kind"], &one["status"]), (&"unknown".into(), &"queued".into()));
    assert_eq!(admin.post_empty(&format!("/api/jobs/{newer}/cancel")).await.brief(), "409 not_cancellable");
    admin.get("/api/admin/queues").await.expect(200);
    env.connect().await.batch_execute("DELETE FROM jobs WHERE kind = 'teleport'").await.unwrap();
    env.finish().await;
}

/// An instance, an event and a user with unknown values are shown as unknown or left out.
#[tokio::test]
async fn nor_does_any_other_word() {
    let env = TestEnv::builder().build().await;
    let (one, two) = (env.user("ann").await.create("one").await, env.user("ann").await.create("two").await);
    for accepted in [&one, &two] {
        wait_job(&env, &accepted.job, "succeeded").await;
    }
    env.user("bob").await;
    let words = format!(
        "{OPEN}; UPDATE instances SET status = 'archived', status_changed_at = now() - interval '1 hour', \
           updated_at = now() - interval '1 hour' WHERE id = '{}'; \
         INSERT INTO job_events (job_id, attempt, kind, message) VALUES ('{}', 1, 'teleported', 'x'); \
         UPDATE users SET role = 'auditor' WHERE email = 'bob@test.example'",
        one.instance, one.job
    );
    env.connect().await.batch_execute(&words).await.unwrap();
    let ann = env.user("ann").await;
    let list = ann.get("/api/instances").await.expect(200).json;
    let statuses: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| item["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["running", "unknown"]);
    let refused = ann.post_empty(&format!("/api/instances/{}/stop", one.instance)).await;
    assert_eq!(refused.brief(), "409 wrong_status");
    let story = ann.get(&format!("/api/jobs/{}/events", one.job)).await.expect(200).json;
    assert_eq!(story["items"].as_array().unwrap().last().unwrap()["kind"], "unknown");
    let stream = ann.request("GET".parse().unwrap(), &format!("/api/jobs/{}/events", one.job));
    let stream = stream.header("accept", "text/event-stream").timeout(Duration::from_secs(20)).send().await.unwrap();
    let told = stream.text().await.unwrap();
    assert!(told.contains("event: end") && !told.contains("teleported") && !told.contains("unknown"), "{told}");
    env.admin().await.get("/api/admin/users").await.expect(200);

    // All sweeps run, and leave the instance as it is.
    let swept = env.admin().await.post_empty("/api/admin/reconcile").await.expect(200).json;
    for sweep in swept["items"].as_array().unwrap() {
        assert!(sweep["error"].is_null(), "{sweep}");
    }
    assert_eq!(instance(&env, &one.instance).await["status"], "archived");
    let back = format!(
        "UPDATE instances SET status = 'running' WHERE id = '{}'; DELETE FROM job_events WHERE kind = 'teleported'",
        one.instance
    );
    env.connect().await.batch_execute(&back).await.unwrap();
    env.finish().await;
}
