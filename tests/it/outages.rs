//! Outages around us: Redis loses its data or is down, Postgres terminates sessions, the API is killed.

use std::time::Duration;

use clawdeploy_shared::{config::RedisArgs, doorbell::Doorbell, ids::JobId, job::Queue};
use clawdeploy_tests::{
    FakeMode, Hold, TestEnv, WorkerOptions, cleanup, database,
    process::Signal,
    settings,
    tcp_proxy::{Network, TcpProxy},
};
use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use crate::support::{SOON, done, job, running, starts, wait_job, wait_step};

/// Like FLUSHALL, but only for our keys.
async fn redis_forgets(env: &TestEnv) {
    cleanup::remove_keys(&env.name).await.unwrap();
}

#[tokio::test]
async fn redis_forgets_right_after_a_request() {
    let env = TestEnv::builder().workers(0).build().await;
    let made = env.user("ann").await.create("first").await;
    let rung = async || (cleanup::remove_keys(&env.name).await.unwrap() > 0).then_some(());
    env.wait_for("the ring", SOON, rung).await;
    env.add_worker(&WorkerOptions::default()).await;
    wait_job(&env, &made.job, "succeeded").await;
    env.finish().await;
}

#[tokio::test]
async fn redis_forgets_while_jobs_run_and_while_none_do() {
    let env = TestEnv::builder().image(FakeMode::Slow).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    redis_forgets(&env).await;
    assert_eq!(wait_job(&env, &made.job, "succeeded").await["attempt"], 1);
    redis_forgets(&env).await;
    let stop = ann.act(&made.instance, "stop").await;
    wait_job(&env, &stop.job, "succeeded").await;
    env.finish().await;
}

#[tokio::test]
async fn redis_is_away() {
    let env = TestEnv::builder().set("CLAWDEPLOY_REDIS_URL", "redis://127.0.0.1:1/0").build().await;
    let ready = env.anon().get("/readyz").await.expect(200);
    assert_eq!((&ready.json["status"], &ready.json["redis"]), (&json!("degraded"), &json!("down")));
    let made = running(&env, "first").await;
    done(&env, &made.instance, "stop").await;
    env.finish().await;
}

/// A ring only says "look". Rings for jobs that do not exist or have ended do no harm, in any number and order.
#[tokio::test]
async fn rings_for_nothing() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let before = env.fingerprint().await;
    let args = RedisArgs { redis_url: settings::redis_url().into(), redis_prefix: env.name.clone() };
    let doorbell = Doorbell::new(&args).unwrap();
    for n in 0..60 {
        let id = if n % 2 == 0 { JobId::generate() } else { made.job.parse().unwrap() };
        doorbell.try_ring(Queue::Lifecycle, id).await.unwrap();
    }
    assert_eq!(env.fingerprint().await, before);
    let stop = env.user("ann").await.act(&made.instance, "stop").await;
    wait_job(&env, &stop.job, "succeeded").await;
    env.finish().await;
}

/// All sessions are terminated repeatedly while jobs run.
#[tokio::test]
async fn postgres_cuts_its_sessions() {
    let env = TestEnv::builder().image(FakeMode::Slow).build().await;
    let ann = env.user("ann").await;
    let mut made = Vec::new();
    for n in 0..3 {
        made.push(ann.create(&format!("number {n}")).await);
    }
    let mut maintenance = database::maintenance().await.unwrap();
    let mut cut = 0;
    let again = async || {
        cut += database::terminate_sessions(&mut maintenance, &env.database()).await.unwrap();
        (cut >= 20).then_some(())
    };
    env.wait_for("twenty sessions to be cut", Duration::from_secs(30), again).await;
    for accepted in &made {
        wait_job(&env, &accepted.job, "succeeded").await;
        assert_eq!(starts(&env, &accepted.instance), 1);
    }
    let answered = async || (ann.get("/api/instances").await.status.as_u16() == 200).then_some(());
    env.wait_for("the API to answer again", SOON, answered).await;
    env.finish().await;
}

/// Postgres does not answer for longer than the lease, more often than a job may crash. This counts neither as a crash
/// nor as a failure, and the job continues each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_stands_still_again_and_again() {
    let proxy = TcpProxy::new(&database::address()).await;
    let env = TestEnv::builder()
        .workers(2)
        .lease(4.0)
        .image(FakeMode::Never)
        .ready(120.0)
        .database_port(proxy.port())
        .build();
    let env = env.await;
    let made = env.user("ann").await.create("first").await;
    wait_step(&env, &made.job, "wait_until_ready").await;
    for stall in 1..=4 {
        proxy.set(Network::BlackHole);
        let over = "SELECT id FROM jobs WHERE status = 'running' AND lease_until < now() - interval '2 seconds'";
        let run_out = async || env.rows(over).await.pop();
        env.wait_for("the lease to run out", Duration::from_secs(20), run_out).await;
        proxy.set(Network::Pass);
        // Usually in another attempt. A worker whose renewal was under way when the network came back keeps the job.
        let good =
            format!("SELECT attempt, crashes, failures FROM jobs WHERE id = '{}' AND lease_until > now()", made.job);
        let again = async || env.rows(&good).await.pop();
        let row = env.wait_for("the job to have a good lease again", Duration::from_secs(20), again).await;
        assert_eq!((&row["crashes"], &row["failures"]), (&json!(0), &json!(0)), "after stall {stall}: {row}");
        // The job has reached its step again. A claim that is cut off before that is another case.
        let begun = format!(
            "SELECT id FROM job_events WHERE job_id = '{}' AND kind = 'step_started' AND step = 'wait_until_ready' \
             AND attempt = {}",
            made.job, row["attempt"]
        );
        let at_step = async || (!env.rows(&begun).await.is_empty()).then_some(());
        env.wait_for("the step that takes long", Duration::from_secs(20), at_step).await;
    }
    env.user("ann").await.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    wait_job(&env, &made.job, "cancelled").await;
    assert!(starts(&env, &made.instance) <= 1);
    env.finish().await;
}

/// The lease runs out, and a write of the job meets that before a renewal does. The worker lives and has stopped the job,
/// so it gives the job back, and nobody counts a crash.
#[tokio::test]
async fn a_write_is_the_first_to_see_that_the_lease_ran_out() {
    // No renewal and no reaper comes between.
    let env = TestEnv::builder().workers(0).lease(60.0).set("CLAWDEPLOY_SWEEP_SECONDS", "3600").build().await;
    let hold = Hold::default();
    env.add_worker(&WorkerOptions::failpoints(&hold.at("provision.create_network.before"))).await;
    let made = env.user("ann").await.create("first").await;
    hold.reached(&env).await;
    let over = format!("UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = '{}'", made.job);
    env.connect().await.batch_execute(&over).await.unwrap();
    hold.release();
    let row = wait_job(&env, &made.job, "succeeded").await;
    assert_eq!((&row["attempt"], &row["crashes"], &row["failures"]), (&json!(2), &json!(0), &json!(0)), "{row}");
    env.finish().await;
}

/// The session breaks in the transaction that ends a job. The worker gives the job up, so it must not renew the lease
/// any more.
#[tokio::test]
async fn a_worker_cannot_write_how_a_job_ended() {
    let env = TestEnv::builder().workers(0).lease(4.0).build().await;
    let hold = Hold::default();
    let worker = env.add_worker(&WorkerOptions::failpoints(&hold.at("provision.end.during"))).await;
    let made = env.user("ann").await.create("first").await;
    hold.reached(&env).await;
    database::terminate_sessions(&mut database::maintenance().await.unwrap(), &env.database()).await.unwrap();
    hold.release();
    let row = wait_job(&env, &made.job, "succeeded").await;
    assert!(worker.log().contains("gave_up"), "the session did not break where it should have");
    assert_eq!((&row["failures"], starts(&env, &made.instance)), (&json!(0), 1));
    env.finish().await;
}

#[tokio::test]
async fn the_api_is_killed_after_a_request() {
    let env = TestEnv::builder().workers(0).build().await;
    let ann = env.user("ann").await;
    let body = json!({ "name": "first" });
    let request = || ann.request(reqwest::Method::POST, "/api/instances").header("Idempotency-Key", "k1").json(&body);
    let made = ann.send(request()).await.accepted();
    env.api.kill().await;
    env.add_worker(&WorkerOptions::default()).await;
    wait_job(&env, &made.job, "succeeded").await;

    // The client did not get the response and sends the request again, to another process.
    let (api, base) = env.start_api(1, &[]);
    let up = async || {
        clawdeploy_tests::http()
            .build()
            .unwrap()
            .get(format!("{base}/healthz"))
            .send()
            .await
            .ok()
            .filter(|answer| answer.status().is_success())
    };
    env.wait_for("the other API", Duration::from_secs(20), up).await;
    let again =
        ann.at(&base).request(reqwest::Method::POST, "/api/instances").header("Idempotency-Key", "k1").json(&body);
    let again = ann.send(again).await.accepted();
    assert_eq!((&again.instance, &again.job), (&made.instance, &made.job));
    assert_eq!(again.answer.header("idempotency-replayed"), Some("true"));
    assert_eq!(env.rows("SELECT id FROM instances").await.len(), 1);
    assert!(api.terminate().await.success());
    env.finish().await;
}

/// Two workers, and whichever took a job stands still until it has missed a renewal of its leases: no job runs twice.
#[tokio::test]
async fn workers_that_stand_still_now_and_then() {
    let env = TestEnv::builder().workers(2).image(FakeMode::Slow).build().await;
    let ann = env.user("ann").await;
    let mut made = Vec::new();
    for n in 0..6 {
        let accepted = ann.create(&format!("number {n}")).await;
        let holder = format!(
            "SELECT w.id, w.pid FROM jobs j JOIN workers w ON w.id = j.leased_by WHERE j.id = '{}'",
            accepted.job
        );
        let taken = async || env.rows(&holder).await.pop();
        let holder = env.wait_for("a worker to take the job", SOON, taken).await;
        let worker = env.workers().into_iter().find(|worker| holder["pid"] == worker.pid()).unwrap();
        worker.signal(Signal::STOP);
        // They are renewed each third of their six seconds: half of that is left once one renewal is overdue.
        let renewed = format!(
            "SELECT id FROM jobs WHERE leased_by = '{}' AND lease_until > now() + interval '3 seconds'",
            holder["id"].as_str().unwrap()
        );
        let missed = async || env.rows(&renewed).await.is_empty().then_some(());
        env.wait_for("renewals to be missed", SOON, missed).await;
        worker.signal(Signal::CONT);
        made.push(accepted);
    }
    for accepted in &made {
        wait_job(&env, &accepted.job, "succeeded").await;
        assert_eq!(starts(&env, &accepted.instance), 1);
        assert_eq!(job(&env, &accepted.job).await["failures"], 0);
    }
    env.finish().await;
}
