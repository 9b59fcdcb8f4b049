//! What happens behind our back: the row follows, and the owner can mend it.

use std::time::Duration;

use clawdeploy_tests::{
    Client, TestEnv, docker,
    docker_proxy::{Action, DockerProxy},
};
use serde_json::{Value, json};

use crate::support::{done, http, instance, port, running, starts, wait_status};

/// Patience with whoever sees it.
const SEEN: Duration = Duration::from_secs(15);

/// How long a question to a gateway that was not ready before takes at most (worker/src/probe.rs).
const USUAL: Duration = Duration::from_secs(2);

/// Waits until an instance is in error for this reason; on the way there it may show another.
async fn wait_error(env: &TestEnv, id: &str, code: &str) {
    let so = async || {
        let row = instance(env, id).await;
        (row["status"] == "error" && row["error_code"] == code).then_some(())
    };
    env.wait_for(code, SEEN, so).await;
}

#[tokio::test]
async fn docker_stop() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    docker::docker(&["stop", &format!("claw-{}", made.instance)]).await;
    wait_status(&env, &made.instance, "stopped", SEEN).await;
    done(&env, &made.instance, "start").await;
    assert_eq!(starts(&env, &made.instance), 2);
    env.finish().await;
}

#[tokio::test]
async fn docker_rm() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let (port_before, container) = (port(&env, &made.instance).await, format!("claw-{}", made.instance));
    docker::docker(&["rm", "--force", &container]).await;
    wait_error(&env, &made.instance, "container_gone").await;
    done(&env, &made.instance, "start").await;
    let row = instance(&env, &made.instance).await;
    assert_eq!((&row["status"], &row["error_code"]), (&json!("running"), &Value::Null));
    assert_eq!(port(&env, &made.instance).await, port_before);
    env.finish().await;
}

#[tokio::test]
async fn docker_pause() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    docker::docker(&["pause", &format!("claw-{}", made.instance)]).await;
    wait_error(&env, &made.instance, "container_paused").await;
    done(&env, &made.instance, "start").await;
    assert_eq!(http(port(&env, &made.instance).await, "/readyz").await.map(|(status, _)| status), Some(200));
    env.finish().await;
}

#[tokio::test]
async fn docker_pause_and_unpause() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let container = format!("claw-{}", made.instance);
    docker::docker(&["pause", &container]).await;
    wait_error(&env, &made.instance, "container_paused").await;
    docker::docker(&["unpause", &container]).await;
    wait_status(&env, &made.instance, "running", SEEN).await;
    assert_eq!(instance(&env, &made.instance).await["error_code"], Value::Null);
    env.finish().await;
}

#[tokio::test]
async fn docker_start_of_a_stopped_one() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    done(&env, &made.instance, "stop").await;
    docker::docker(&["start", &format!("claw-{}", made.instance)]).await;
    wait_status(&env, &made.instance, "running", SEEN).await;
    env.finish().await;
}

/// Docker restarts a crashed gateway, and the row shows `running` again.
#[tokio::test]
async fn a_gateway_that_crashes_comes_back() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let port = port(&env, &made.instance).await;
    assert_eq!(http(port, "/crash").await.map(|(status, _)| status), Some(200));
    let back = async || {
        let ready = http(port, "/readyz").await.is_some_and(|(status, _)| status == 200);
        (ready && starts(&env, &made.instance) == 2).then_some(())
    };
    env.wait_for("the gateway to come back", SEEN, back).await;
    wait_status(&env, &made.instance, "running", SEEN).await;
    env.finish().await;
}

/// The next worker detects drift that happened while there was no worker.
#[tokio::test]
async fn drift_without_a_worker() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    env.worker(0).terminate().await;
    docker::docker(&["stop", &format!("claw-{}", made.instance)]).await;
    env.add_worker(&clawdeploy_tests::WorkerOptions::default()).await;
    wait_status(&env, &made.instance, "stopped", SEEN).await;
    env.finish().await;
}

/// The result of the sweep in a pass that is run now.
async fn drift(admin: &Client) -> Value {
    let looked = admin.post_empty("/api/admin/reconcile").await.expect(200).json;
    looked["items"].as_array().unwrap().iter().find(|sweep| sweep["name"] == "drift").unwrap().clone()
}

/// The processes of an instance's container.
struct Gateway {
    pids: Vec<String>,
}

impl Gateway {
    async fn of(instance: &str) -> Self {
        let listed = docker::docker(&["top", &format!("claw-{instance}"), "-o", "pid"]).await;
        Self { pids: listed.lines().skip(1).map(|pid| pid.trim().to_owned()).collect() }
    }

    async fn send(&self, signal: &str) {
        let mut kill = tokio::process::Command::new("kill");
        assert!(kill.arg(signal).args(&self.pids).status().await.unwrap().success());
    }
}

/// Whether a question waits for its answer at this process or one beside it in its container.
fn is_asked(pid: &str) -> bool {
    let sockets = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    sockets.lines().skip(1).any(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        // Connected, with something that was not read yet.
        words[3] == "01" && !words[4].ends_with(":00000000")
    })
}

/// Its own tools may keep a gateway from answering for longer than a question usually takes.
#[tokio::test]
async fn a_gateway_that_is_busy_for_a_while_stays_running() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    let (admin, port) = (env.admin().await, port(&env, &made.instance).await);
    let gateway = Gateway::of(&made.instance).await;
    gateway.send("-STOP").await;
    let looked = drift(&admin);
    let busy = async {
        env.wait_for("the sweep's question", SEEN, async || is_asked(&gateway.pids[0]).then_some(())).await;
        // With the usual limit, one that begins later is given up while the sweep's still waits.
        let usual = clawdeploy_tests::http().timeout(USUAL).build().unwrap();
        let later = usual.get(format!("http://127.0.0.1:{port}/startupz")).send().await;
        assert!(later.unwrap_err().is_timeout());
        gateway.send("-CONT").await;
    };
    let (looked, ()) = tokio::join!(looked, busy);
    assert_eq!(looked["findings"], json!([]));
    assert_eq!(instance(&env, &made.instance).await["status"], "running");
    env.finish().await;
}

/// One that hangs is `starting` once it was waited for, fails no pass, and is `running` again when it answers.
#[tokio::test]
async fn a_gateway_that_hangs_is_starting_until_it_answers() {
    let env = TestEnv::builder().set("CLAWDEPLOY_RECONCILE_SECONDS", "1").build().await;
    let made = running(&env, "first").await;
    let admin = env.admin().await;
    let gateway = Gateway::of(&made.instance).await;
    gateway.send("-STOP").await;
    let looked = drift(&admin).await;
    assert_eq!((&looked["error"], &looked["findings"]), (&Value::Null, &json!([])));
    assert_eq!(instance(&env, &made.instance).await["status"], "running", "it may be busy");
    wait_status(&env, &made.instance, "starting", Duration::from_mins(1)).await;
    gateway.send("-CONT").await;
    wait_status(&env, &made.instance, "running", SEEN).await;
    env.finish().await;
}

/// The list of containers is enough for a pass over instances with which nothing is wrong.
#[tokio::test]
async fn nothing_is_inspected_while_nothing_differs() {
    let dir = tempfile::tempdir().unwrap();
    let engine = DockerProxy::new(dir.path());
    let env = TestEnv::builder().set("CLAWDEPLOY_DOCKER_HOST", &engine.host()).build().await;
    let (runs, stopped) = (running(&env, "runs").await, running(&env, "stopped").await);
    done(&env, &stopped.instance, "stop").await;
    let admin = env.admin().await;
    let pass = async || {
        let looked = drift(&admin).await;
        assert_eq!((&looked["error"], &looked["checked"], &looked["findings"]), (&Value::Null, &json!(2), &json!([])));
    };
    // Looks once at what was started a moment ago.
    pass().await;
    for made in [&runs, &stopped] {
        let container = instance(&env, &made.instance).await["container_id"].as_str().unwrap().to_owned();
        engine.fault("GET", &format!("/containers/{container}/json"), Action::Delay(Duration::ZERO), 0);
    }
    for _ in 0..3 {
        pass().await;
    }
    assert_eq!(engine.struck(), 0, "inspections");
    env.finish().await;
}

/// The reconciler leaves instances with an open job alone.
#[tokio::test]
async fn a_job_under_way_is_left_alone() {
    let env = TestEnv::builder().workers(2).image(clawdeploy_tests::FakeMode::Slow).build().await;
    let ann = env.user("ann").await;
    let made = ann.create("first").await;
    crate::support::wait_job(&env, &made.job, "succeeded").await;
    let restart = ann.act(&made.instance, "restart").await;
    let seen = std::sync::Mutex::new(std::collections::BTreeSet::new());
    let over = async || {
        let row = instance(&env, &made.instance).await;
        seen.lock().unwrap().insert(row["status"].as_str().unwrap().to_owned());
        (crate::support::job(&env, &restart.job).await["status"] == "succeeded").then_some(())
    };
    env.wait_for("the restart", crate::support::SOON, over).await;
    let seen = seen.into_inner().unwrap();
    assert!(seen.iter().all(|status| status == "running" || status == "starting"), "{seen:?}");
    env.finish().await;
}
