//! Shared helpers.

use std::{process::Stdio, time::Duration};

pub(crate) use clawdeploy_tests::cases::redacted;
use clawdeploy_tests::{TestEnv, client::Accepted, programs::Program, wait};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Password of all accounts.
pub(crate) const PASSWORD: &str = "canary horse battery";

/// Patience with a job that has the stand-in.
pub(crate) const SOON: Duration = Duration::from_secs(40);

#[expect(clippy::print_stderr, reason = "shown where a test fails, or is watched")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// The row of a job.
pub(crate) async fn job(env: &TestEnv, id: &str) -> Value {
    env.row(&format!("SELECT * FROM jobs WHERE id = '{id}'")).await
}

/// Waits for the end of a job, which must be `status`; returns the job.
pub(crate) async fn wait_job(env: &TestEnv, id: &str, status: &str) -> Value {
    wait_job_within(env, id, status, SOON).await
}

pub(crate) async fn wait_job_within(env: &TestEnv, id: &str, status: &str, within: Duration) -> Value {
    let ended = async || {
        let job = job(env, id).await;
        matches!(job["status"].as_str(), Some("succeeded" | "failed" | "cancelled")).then_some(job)
    };
    let job = env.wait_for(&format!("the end of job {id}"), within, ended).await;
    assert_eq!(job["status"], status, "{} ended with {} {}", job["kind"], job["error_code"], job["error_message"]);
    job
}

/// Waits until a step of a job has started.
pub(crate) async fn wait_step(env: &TestEnv, id: &str, step: &str) {
    let begun = async || {
        let sql =
            format!("SELECT id FROM job_events WHERE job_id = '{id}' AND kind = 'step_started' AND step = '{step}'");
        (!env.rows(&sql).await.is_empty()).then_some(())
    };
    env.wait_for(&format!("step {step} of job {id}"), SOON, begun).await;
}

/// The row of an instance.
pub(crate) async fn instance(env: &TestEnv, id: &str) -> Value {
    env.row(&format!("SELECT * FROM instances WHERE id = '{id}'")).await
}

/// The port of an instance.
pub(crate) async fn port(env: &TestEnv, id: &str) -> u16 {
    let row = env.row(&format!("SELECT port FROM ports WHERE instance_id = '{id}'")).await;
    u16::try_from(row["port"].as_u64().unwrap()).unwrap()
}

/// Waits until an instance has a status.
pub(crate) async fn wait_status(env: &TestEnv, id: &str, status: &str, within: Duration) {
    let so = async || (instance(env, id).await["status"] == status).then_some(());
    let done = wait::poll(within, so).await;
    let within = within * wait::PATIENCE;
    assert!(done.is_some(), "not {status} within {within:?}: {}", instance(env, id).await);
}

/// Creates an instance of `ann` and waits until it runs.
pub(crate) async fn running(env: &TestEnv, name: &str) -> Accepted {
    let accepted = env.user("ann").await.create(name).await;
    wait_job(env, &accepted.job, "succeeded").await;
    accepted
}

/// Requests an action and waits until it has succeeded.
pub(crate) async fn done(env: &TestEnv, instance: &str, verb: &str) -> Value {
    let accepted = env.user("ann").await.act(instance, verb).await;
    wait_job(env, &accepted.job, "succeeded").await
}

/// Deletes an instance and checks that nothing is left.
pub(crate) async fn deleted(env: &TestEnv, instance: &str) {
    let accepted = env.user("ann").await.remove(instance).await;
    wait_job(env, &accepted.job, "succeeded").await;
    env.assert_nothing_left_of(instance).await;
    assert_eq!(env.rows(&format!("SELECT id FROM instances WHERE id = '{instance}'")).await, Vec::<Value>::new());
}

/// GET on a port of this machine; `None` if nothing answers. On a busy machine, the first page of a new gateway takes
/// some seconds.
pub(crate) async fn http(port: u16, path: &str) -> Option<(u16, String)> {
    let client = clawdeploy_tests::http().timeout(Duration::from_secs(30)).build().unwrap();
    let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.unwrap_or_default()))
}

/// Whether a port of this machine accepts connections.
pub(crate) async fn listens(port: u16) -> bool {
    tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
}

/// How often the fake gateway of an instance was started.
pub(crate) fn starts(env: &TestEnv, instance: &str) -> usize {
    let log = env.data_dir.join(instance).join("config/starts.log");
    std::fs::read_to_string(log).unwrap_or_default().lines().count()
}

/// A file of an instance's config directory.
pub(crate) fn config_file(env: &TestEnv, instance: &str, name: &str) -> String {
    let path = env.data_dir.join(instance).join("config").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Events of a job without log lines, as kind and step.
pub(crate) async fn story(env: &TestEnv, job: &str) -> Vec<String> {
    let sql = format!("SELECT kind, step FROM job_events WHERE job_id = '{job}' AND kind <> 'log' ORDER BY id");
    let entry = |row: &Value| match row["step"].as_str() {
        Some(step) => format!("{} {step}", row["kind"].as_str().unwrap()),
        None => row["kind"].as_str().unwrap().to_owned(),
    };
    env.rows(&sql).await.iter().map(entry).collect()
}

/// Creates an account with a password, by the command of the API.
pub(crate) async fn account(env: &TestEnv, email: &str) {
    create(env, email, &[]).await;
}

/// As [`account`], for an administrator.
pub(crate) async fn administrator(env: &TestEnv, email: &str) {
    create(env, email, &["--admin"]).await;
}

async fn create(env: &TestEnv, email: &str, more: &[&str]) {
    let arguments = ["user", "create", "--email", email, "--name", "Eve", "--password-stdin"];
    let mut command = Command::new(Program::Api.path());
    command.args(arguments).args(more).env_clear().envs(env.settings().iter().cloned());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).await.unwrap();
    assert!(child.wait().await.unwrap().success());
}
