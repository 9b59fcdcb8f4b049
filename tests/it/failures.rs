//! Provisions that fail: only the row is left, with status `error` and the right code.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, Image, TestEnv, client::Accepted, disk::SmallDisk, docker, gate::Gate};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{done, http, instance, job, port, running, starts, story, wait_job, wait_step};

/// Checks that the provision failed with `code` and left only the row; returns the message.
async fn assert_failed(env: &TestEnv, made: &Accepted, code: &str) -> String {
    let failed = wait_job(env, &made.job, "failed").await;
    assert_eq!(failed["error_code"], code, "{failed}");
    let row = instance(env, &made.instance).await;
    assert_eq!(
        (&row["status"], &row["error_code"], &row["container_id"]),
        (&json!("error"), &json!(code), &Value::Null)
    );
    let shown = env.user("ann").await.instance(&made.instance).await;
    assert_eq!(shown["error"]["code"], code);
    assert_eq!(shown["currentJob"], Value::Null);
    env.assert_nothing_left_of(&made.instance).await;
    shown["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_image_is_missing() {
    let env = TestEnv::builder().image(Image::Named("clawdeploy-fake:no-such-tag".into())).build().await;
    let made = env.user("ann").await.create("first").await;
    let message = assert_failed(&env, &made, "image_missing").await;
    assert!(message.contains("clawdeploy-fake:no-such-tag"), "{message}");
    env.finish().await;
}

#[tokio::test]
async fn the_gateway_exits_at_once() {
    let env = TestEnv::builder().image(FakeMode::Exit).build().await;
    let made = env.user("ann").await.create("first").await;
    let message = assert_failed(&env, &made, "gateway_exited").await;
    assert!(message.contains("exit code 1"), "{message}");
    // The message has the gateway's last output, but not the token that it printed.
    assert!(message.contains("told to fail with 1") && message.contains("fake gateway: read"), "{message}");
    env.finish().await;
}

#[tokio::test]
async fn the_gateway_refuses_its_configuration() {
    let env = TestEnv::builder().image(FakeMode::Exit78).build().await;
    let made = env.user("ann").await.create("first").await;
    let message = assert_failed(&env, &made, "gateway_exited").await;
    assert!(message.contains("exit code 78"), "{message}");
    env.finish().await;
}

#[tokio::test]
async fn the_gateway_is_never_ready() {
    let env = TestEnv::builder().image(FakeMode::Never).ready(2.0).build().await;
    let made = env.user("ann").await.create("first").await;
    let message = assert_failed(&env, &made, "gateway_not_ready").await;
    assert!(message.contains("within 2 s"), "{message}");
    env.finish().await;
}

/// A failed instance can be started once the cause is fixed. The start provisions it again.
#[tokio::test]
async fn a_failed_provision_can_be_started_again() {
    let env = TestEnv::builder().image(FakeMode::Exit78).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    assert_failed(&env, &made, "gateway_exited").await;
    env.worker(0).terminate().await;
    let options = clawdeploy_tests::WorkerOptions::default().set("CLAWDEPLOY_IMAGE", &FakeMode::Ok.image());
    env.add_worker(&options).await;
    let again = done(&env, &made.instance, "start").await;
    assert_eq!(again["kind"], "provision");
    let row = instance(&env, &made.instance).await;
    assert_eq!((&row["status"], &row["error_code"]), (&json!("running"), &Value::Null));
    env.finish().await;
}

#[tokio::test]
async fn an_administrator_retries_a_failed_job() {
    let env = TestEnv::builder().image(FakeMode::Exit78).build().await;
    let (ann, admin) = (env.user("ann").await, env.admin().await);
    let made = ann.create("first").await;
    assert_failed(&env, &made, "gateway_exited").await;
    env.worker(0).terminate().await;
    let options = clawdeploy_tests::WorkerOptions::default().set("CLAWDEPLOY_IMAGE", &FakeMode::Ok.image());
    env.add_worker(&options).await;
    admin.post_empty(&format!("/api/admin/jobs/{}/retry", made.job)).await.expect(202);
    let retried = wait_job(&env, &made.job, "succeeded").await;
    assert_eq!((&retried["error_code"], &retried["failures"]), (&Value::Null, &json!(0)));
    assert_eq!(instance(&env, &made.instance).await["status"], "running");
    env.finish().await;
}

/// A foreign program that listens on a port.
async fn stranger_at(env: &TestEnv, port: u16) -> TcpListener {
    let bound = async || TcpListener::bind(("127.0.0.1", port)).await.ok();
    env.wait_for("a port that its last holder has just given up", Duration::from_secs(10), bound).await
}

/// A foreign program has the only free port: the next attempt takes another one.
#[tokio::test]
async fn a_stranger_holds_the_port() {
    let env = TestEnv::builder().build().await;
    let (first, last) = env.slot.ports();
    // All ports but two are refused, one of which is taken.
    env.execute(&format!(
        "INSERT INTO ports (port, refused_until) SELECT p, now() + interval '1 hour' FROM generate_series({}, {last}) p",
        first + 2
    ))
    .await;
    let stranger = stranger_at(&env, first).await;
    let (one, two) = (env.user("ann").await.create("one").await, env.user("ann").await.create("two").await);
    // One instance gets the free port. The other one gets the taken port, after which none is left.
    let ended = async || {
        let jobs = env.rows("SELECT status FROM jobs WHERE status IN ('succeeded', 'failed')").await;
        (jobs.len() == 2).then_some(())
    };
    env.wait_for("both to end", Duration::from_secs(40), ended).await;
    let (good, bad) = if job(&env, &one.job).await["status"] == "succeeded" { (one, two) } else { (two, one) };
    assert_eq!(port(&env, &good.instance).await, first + 1);
    assert_failed(&env, &bad, "no_free_port").await;
    let refused =
        env.row(&format!("SELECT instance_id, refused_until > now() AS still FROM ports WHERE port = {first}")).await;
    assert_eq!(refused, json!({ "instance_id": null, "still": true }));

    // The foreign program was not disturbed.
    assert_eq!(stranger.local_addr().unwrap().port(), first);
    env.finish().await;
}

/// A foreign program took the port of a stopped instance: the start moves the instance to another port and keeps its
/// files.
#[tokio::test]
async fn a_stranger_takes_the_port_of_a_stopped_instance() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let before = port(&env, &made.instance).await;
    done(&env, &made.instance, "stop").await;
    let _stranger = stranger_at(&env, before).await;
    let started = done(&env, &made.instance, "start").await;
    assert_eq!(started["failures"], 1);
    let after = port(&env, &made.instance).await;
    assert_ne!(after, before);
    assert_eq!(http(after, "/readyz").await.map(|(status, _)| status), Some(200));
    assert_eq!(starts(&env, &made.instance), 2, "its files moved with it");
    let config: Value =
        serde_json::from_str(&crate::support::config_file(&env, &made.instance, "openclaw.json")).unwrap();
    assert_eq!(config["gateway"]["controlUi"]["allowedOrigins"][0], format!("http://127.0.0.1:{after}"));
    env.finish().await;
}

#[tokio::test]
async fn a_stranger_holds_the_containers_name() {
    let env = TestEnv::builder().workers(0).build().await;
    let made = env.user("ann").await.create("first").await;
    let name = format!("claw-{}", made.instance);
    let stranger = docker::docker(&["create", "--name", &name, &FakeMode::Ok.image(), "node"]).await.trim().to_owned();
    let guard = Stranger(stranger.clone());
    env.add_worker(&clawdeploy_tests::WorkerOptions::default()).await;
    let message = assert_failed(&env, &made, "container_name_taken").await;
    assert!(message.contains(&name), "{message}");
    assert_eq!(docker::inspect(&stranger, "{{.State.Status}}").await, "created", "the stranger was touched");
    // Without the foreign container, the instance can start.
    drop(guard);
    done(&env, &made.instance, "start").await;
    env.finish().await;
}

/// A foreign container, which is removed with the test.
struct Stranger(String);

impl Drop for Stranger {
    fn drop(&mut self) {
        let id = self.0.clone();
        clawdeploy_tests::cleanup::block_on(async move {
            docker::try_docker(&["rm", "--force", &id]).await.ok();
        });
    }
}

#[tokio::test]
async fn the_disk_is_full() {
    let mount = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&mount.path().join("disk"), 1024);
    let env = TestEnv::builder().data_dir(disk.path()).build().await;
    let admin = env.admin().await;
    disk.fill();
    let made = env.user("ann").await.create("first").await;
    assert_failed(&env, &made, "disk_full").await;
    disk.free();
    admin.post_empty(&format!("/api/admin/jobs/{}/retry", made.job)).await.expect(202);
    wait_job(&env, &made.job, "succeeded").await;
    env.finish().await;
}

/// While Docker is down, jobs are retried and the reason is shown.
#[tokio::test]
async fn docker_is_down_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::new(dir.path());
    let env = TestEnv::builder().set("CLAWDEPLOY_DOCKER_HOST", &gate.host()).build().await;
    let ann = env.user("ann").await;
    gate.shut();
    let made = ann.create("first").await;
    let failed_twice = async || (job(&env, &made.job).await["failures"].as_i64()? >= 2).then_some(());
    env.wait_for("two failed attempts", Duration::from_secs(20), failed_twice).await;
    let waiting = ann.get(&format!("/api/jobs/{}", made.job)).await.expect(200);
    assert_eq!(waiting.json["error"]["code"], "docker_unreachable");
    let degraded = async || (env.anon().get("/readyz").await.json["workers"]["status"] == "degraded").then_some(());
    env.wait_for("the outage to be told", Duration::from_secs(10), degraded).await;
    gate.open();
    wait_job(&env, &made.job, "succeeded").await;
    assert_eq!(starts(&env, &made.instance), 1);
    env.finish().await;
}

/// The engine executes a call but the response is lost: the next attempt finds the work done.
#[tokio::test]
async fn answers_of_docker_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::new(dir.path());
    let env = TestEnv::builder().set("CLAWDEPLOY_DOCKER_HOST", &gate.host()).build().await;
    for needle in ["/networks/create", "/containers/create?", "/start HTTP"] {
        gate.lose_answer_to(needle);
        let made = running(&env, needle).await;
        assert!(gate.has_lost(), "{needle} was never asked");
        assert_eq!(starts(&env, &made.instance), 1, "{needle}");
        assert_eq!(env.world().await.containers_of(&made.instance).len(), 1, "{needle}");
    }
    let made = running(&env, "stop and delete").await;
    gate.lose_answer_to("/stop?");
    done(&env, &made.instance, "stop").await;
    assert!(gate.has_lost());
    gate.lose_answer_to("DELETE ");
    crate::support::deleted(&env, &made.instance).await;
    assert!(gate.has_lost());
    env.finish().await;
}

/// A panic in a step counts as a failed attempt: the worker survives, and the job is retried.
#[tokio::test]
async fn a_step_panics() {
    let env = TestEnv::builder().workers(0).build().await;
    let options = clawdeploy_tests::WorkerOptions::failpoints("provision.write_config.between=1*panic->off");
    let worker = env.add_worker(&options).await;
    let made = env.user("ann").await.create("first").await;
    let job = wait_job(&env, &made.job, "succeeded").await;
    assert_eq!((&job["failures"], &job["crashes"]), (&json!(1), &json!(0)));
    assert_eq!(worker.try_ended().await, None);
    env.finish().await;
}

/// Transient errors are retried, and the job's events show it.
#[tokio::test]
async fn a_retry_is_scheduled_and_told() {
    let env = TestEnv::builder().workers(0).build().await;
    env.add_worker(&clawdeploy_tests::WorkerOptions::failpoints("provision.write_config.between=2*panic->off")).await;
    let made = env.user("ann").await.create("first").await;
    wait_step(&env, &made.job, "write_config").await;
    let job = wait_job(&env, &made.job, "succeeded").await;
    assert_eq!(job["failures"], 2);
    let retries = story(&env, &made.job).await.into_iter().filter(|entry| entry == "retry").count();
    assert_eq!(retries, 2);
    env.finish().await;
}
