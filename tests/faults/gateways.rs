//! Gateways that exit after they were ready: the row shows the reason, and other instances are not affected.

use std::{io::Write as _, time::Duration};

use clawdeploy_tests::{FakeMode, TestEnv, client::Accepted, docker};
use serde_json::{Value, json};

use crate::support::{PATIENCE, create, starts, succeeded};

/// Memory limit of a gateway that shall exceed it.
const LITTLE: [&str; 2] = ["--memory=48m", "--memory-swap=48m"];

async fn environment() -> TestEnv {
    let env = TestEnv::builder().image(FakeMode::Ok).set("CLAWDEPLOY_RECONCILE_SECONDS", "1").build().await;
    env.watch().await;
    env
}

fn container(of: &Accepted) -> String {
    format!("claw-{}", of.instance)
}

async fn running(env: &TestEnv, name: &str) -> Accepted {
    let made = create(&env.user("ann").await, name).await;
    succeeded(env, &made.job).await;
    made
}

/// Sets the behavior of the gateway at its next starts.
fn ordain(env: &TestEnv, of: &Accepted, fate: &str) {
    let mut file = std::fs::File::create(env.data_dir.join(&of.instance).join("config/fate")).unwrap();
    file.write_all(fate.as_bytes()).unwrap();
}

/// Makes its main process exit. The engine restarts it.
async fn crash(env: &TestEnv, of: &Accepted) {
    let port = env.row(&format!("SELECT port FROM ports WHERE instance_id = '{}'", of.instance)).await;
    let url = format!("http://127.0.0.1:{}/crash", port["port"]);
    clawdeploy_tests::http().build().unwrap().get(url).send().await.expect("its last answer");
}

async fn row(env: &TestEnv, of: &Accepted) -> Value {
    env.row(&format!("SELECT status, error_code, error_message FROM instances WHERE id = '{}'", of.instance)).await
}

async fn wait_error(env: &TestEnv, of: &Accepted, code: &str) -> String {
    let so = async || {
        let row = row(env, of).await;
        (row["status"] == "error" && row["error_code"] == code).then_some(row)
    };
    env.wait_for(code, PATIENCE, so).await["error_message"].as_str().unwrap().to_owned()
}

async fn assert_well(env: &TestEnv, of: &Accepted, times: usize) {
    let row = row(env, of).await;
    assert_eq!((&row["status"], &row["error_code"]), (&json!("running"), &Value::Null), "{row}");
    assert_eq!(starts(env, &of.instance), times);
}

/// Checks that the breaker has stopped the gateway for good.
async fn assert_stopped(env: &TestEnv, of: &Accepted) {
    let state = "{{.State.Status}} {{.State.Restarting}} {{.HostConfig.RestartPolicy.Name}}";
    assert_eq!(docker::inspect(&container(of), state).await, "exited false unless-stopped");
    let tried = starts(env, &of.instance);
    // The breaker trips at the fifth exit. Until it has stopped the gateway, the engine may start it some more times.
    assert!((5..=8).contains(&tried), "{tried} starts");
    // Longer than the engine would wait before the next start.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(starts(env, &of.instance), tried, "the engine still starts it");
}

async fn mend_and_start(env: &TestEnv, of: &Accepted) {
    ordain(env, of, "");
    let before = starts(env, &of.instance);
    succeeded(env, &env.user("ann").await.act(&of.instance, "start").await.job).await;
    assert_well(env, of, before + 1).await;
}

/// K5: a gateway that crashes repeatedly is stopped. Its last output and its log are kept, and it can be started again
/// once it is repaired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_loop() {
    let env = environment().await;
    let (looping, well) = (running(&env, "looping").await, running(&env, "well").await);
    ordain(&env, &looping, "exit");
    crash(&env, &looping).await;
    let message = wait_error(&env, &looping, "gateway_crash_loop").await;
    assert!(message.contains("exit code 1") && message.contains("told to fail with 1"), "{message}");
    assert_stopped(&env, &looping).await;
    let log = docker::docker(&["logs", &container(&looping)]).await;
    assert!(log.contains("listening on"), "the log from before the crashes is gone: {log}");
    assert_well(&env, &well, 1).await;
    mend_and_start(&env, &looping).await;
    env.assert_invariants().await;
    env.finish().await;
}

/// K5, and the worker dies meanwhile: the next one detects the loop by the engine's restart count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn crash_loop_seen_by_another_more() {
    let env = environment().await;
    let looping = running(&env, "looping").await;
    ordain(&env, &looping, "exit");
    crash(&env, &looping).await;
    let twice = async || (starts(&env, &looping.instance) >= 3).then_some(());
    env.wait_for("two crashes", PATIENCE, twice).await;
    env.worker(0).kill().await;
    env.add_worker(&clawdeploy_tests::WorkerOptions::default()).await;
    wait_error(&env, &looping, "gateway_crash_loop").await;
    assert_stopped(&env, &looping).await;
    mend_and_start(&env, &looping).await;
    env.assert_invariants().await;
    env.finish().await;
}

/// K8: the gateway itself runs out of memory. If the engine does not restart it, the row shows the reason at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory() {
    let env = environment().await;
    let (hog, well) = (running(&env, "hog").await, running(&env, "well").await);
    docker::docker(&["update", LITTLE[0], LITTLE[1], "--restart=no", &container(&hog)]).await;
    ordain(&env, &hog, "hog");
    docker::docker(&["restart", "--time=0", &container(&hog)]).await;
    let message = wait_error(&env, &hog, "gateway_out_of_memory").await;
    assert!(message.contains("more memory"), "{message}");
    assert_eq!(docker::inspect(&container(&hog), "{{.State.ExitCode}} {{.State.OOMKilled}}").await, "137 true");
    assert_well(&env, &well, 1).await;
    mend_and_start(&env, &hog).await;
    env.assert_invariants().await;
    env.finish().await;
}

/// K8 repeatedly: the breaker stops it, and the reason is the memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory_in_a_loop() {
    let env = environment().await;
    let hog = running(&env, "hog").await;
    docker::docker(&["update", LITTLE[0], LITTLE[1], &container(&hog)]).await;
    ordain(&env, &hog, "hog");
    crash(&env, &hog).await;
    let message = wait_error(&env, &hog, "gateway_crash_loop").await;
    assert!(message.contains("exit code 137") && message.contains("out of memory"), "{message}");
    assert_stopped(&env, &hog).await;
    mend_and_start(&env, &hog).await;
    env.assert_invariants().await;
    env.finish().await;
}

/// K8, beside the gateway: a command in the container is killed, but the gateway and the row do not change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_runs_out_of_memory() {
    let env = environment().await;
    let made = running(&env, "first").await;
    docker::docker(&["update", LITTLE[0], LITTLE[1], &container(&made)]).await;
    let moves = async || env.rows("SELECT * FROM test_moves").await.len();
    let before = moves().await;
    let killed = docker::try_docker(&["exec", &container(&made), "node", "hog"]).await;
    assert!(killed.is_err(), "it was not killed");
    // Time for the event, and for a pass of the reconciler.
    let sweeps = "SELECT max(ran_at)::text AS at FROM sweeps";
    let swept = env.row(sweeps).await;
    for _ in 0..2 {
        let next = async || (env.row(sweeps).await != swept).then_some(());
        env.wait_for("the reconciler", PATIENCE, next).await;
    }
    assert_eq!(docker::inspect(&container(&made), "{{.State.Status}} {{.RestartCount}}").await, "running 0");
    assert_eq!(moves().await, before, "the row changed");
    assert_well(&env, &made, 1).await;
    env.assert_invariants().await;
    env.finish().await;
}
