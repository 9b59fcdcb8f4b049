//! After a cancelled job, the desired state is what it was before the job was accepted.

use clawdeploy_tests::{Installation, TestEnv, WorkerOptions, client::Accepted};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::json;

use crate::support::{instance, job, running, wait_job};

/// An instance without a worker.
async fn environment() -> (TestEnv, Accepted) {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    env.worker(0).terminate().await;
    (env, made)
}

async fn want(env: &TestEnv, desired: &str) {
    // Called by path, because diesel has a method of that name.
    Installation::execute(env, &format!("UPDATE instances SET desired_state = '{desired}', status = 'error'")).await;
}

async fn cancelled(env: &TestEnv, job: &str) {
    let answer = env.user("ann").await.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
    assert_eq!(answer.json["status"], "cancelled");
}

async fn desired(env: &TestEnv, made: &Accepted) -> String {
    instance(env, &made.instance).await["desired_state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_stop_of_what_was_to_be_stopped_anyway() {
    let (env, made) = environment().await;
    for before in ["stopped", "running"] {
        want(&env, before).await;
        let stop = env.user("ann").await.act(&made.instance, "stop").await;
        assert_eq!(desired(&env, &made).await, "stopped");
        cancelled(&env, &stop.job).await;
        assert_eq!(desired(&env, &made).await, before);
    }
    env.finish().await;
}

/// Regardless of the instance's status.
#[tokio::test]
async fn a_deletion() {
    let (env, made) = environment().await;
    for before in ["stopped", "running"] {
        want(&env, before).await;
        let delete = env.user("ann").await.remove(&made.instance).await;
        assert_eq!(desired(&env, &made).await, "deleted");
        cancelled(&env, &delete.job).await;
        assert_eq!(desired(&env, &made).await, before);
    }
    env.finish().await;
}

/// The stop that the deletion cancelled stays cancelled.
#[tokio::test]
async fn a_deletion_that_has_cancelled_a_stop() {
    let (env, made) = environment().await;
    want(&env, "running").await;
    let ann = env.user("ann").await;
    ann.act(&made.instance, "stop").await;
    let delete = ann.remove(&made.instance).await;
    cancelled(&env, &delete.job).await;
    assert_eq!(desired(&env, &made).await, "running");
    env.finish().await;
}

/// A retried job counts as accepted again, so the desired state before the retry is restored.
#[tokio::test]
async fn a_stop_that_was_put_back() {
    let (env, made) = environment().await;
    want(&env, "running").await;
    let stop = env.user("ann").await.act(&made.instance, "stop").await;
    cancelled(&env, &stop.job).await;
    want(&env, "stopped").await;
    env.admin().await.post_empty(&format!("/api/admin/jobs/{}/retry", stop.job)).await.expect(202);
    cancelled(&env, &stop.job).await;
    assert_eq!(desired(&env, &made).await, "stopped");
    env.finish().await;
}

/// A worker claims the job while the cancel request waits for its row. The job is running by then, so it is undone
/// instead of ending at once.
#[tokio::test]
async fn a_claim_that_comes_first() {
    let env = TestEnv::builder().build().await;
    let made = running(&env, "first").await;
    env.worker(0).terminate().await;
    let ann = env.user("ann").await;
    let restart = ann.act(&made.instance, "restart").await;
    let mut claim = env.connect().await;
    let lock = format!("BEGIN; SELECT id FROM jobs WHERE id = '{}' FOR UPDATE", restart.job);
    claim.batch_execute(&lock).await.unwrap();
    let asked = tokio::spawn({
        let path = format!("/api/jobs/{}/cancel", restart.job);
        async move { ann.post_empty(&path).await }
    });
    let waits =
        "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()";
    let waiting = async || (!env.rows(waits).await.is_empty()).then_some(());
    env.wait_for("the request to wait for the row", crate::support::SOON, waiting).await;
    let claimed = format!(
        "UPDATE jobs SET status = 'running', attempt = 1, leased_by = 'gone', lease_until = now() - interval '1 second', \
         started_at = now() WHERE id = '{}'",
        restart.job
    );
    diesel::sql_query(claimed).execute(&mut claim).await.unwrap();
    claim.batch_execute("COMMIT").await.unwrap();
    let answer = asked.await.unwrap().expect(202).json;
    assert_eq!((&answer["status"], &answer["cancelRequested"]), (&json!("running"), &json!(true)));
    assert_eq!(job(&env, &restart.job).await["finished_at"], json!(null));
    env.add_worker(&WorkerOptions::default()).await;
    wait_job(&env, &restart.job, "cancelled").await;
    assert_eq!(instance(&env, &made.instance).await["status"], "running");
    env.finish().await;
}
