//! Instances that fall asleep and wake under faults. The rows are in `matrix`; the binary `it` (`crashes::asleep`)
//! tests all kill points.

use std::time::SystemTime;

use clawdeploy_tests::{TestEnv, WorkerOptions, client::Accepted};
use serde_json::{Value, json};

use crate::{
    driver::Stage,
    row::Operation,
    support::{PATIENCE, accepted, create, ended, succeeded},
};

/// Lets an instance fall asleep until somebody needs it. Returns the job.
pub(crate) async fn put_to_sleep(env: &TestEnv, id: &str) -> String {
    env.fall_asleep(id, None).await.expect("an instance that runs")
}

async fn sleep_of(env: &TestEnv, id: &str) -> Value {
    let columns = "status, desired_state, error_code, asleep_since, wake_at, woken_by";
    env.row(&format!("SELECT {columns} FROM instances WHERE id = '{id}'")).await
}

fn is_asleep(row: &Value) -> bool {
    row["status"] == "stopped" && row["desired_state"] == "stopped" && row["asleep_since"].is_string()
}

fn is_awake(row: &Value) -> bool {
    row["status"] == "running" && row["desired_state"] == "running" && row["asleep_since"].is_null()
}

/// Opens the address of a sleeping instance until there is a job that wakes it, like a browser that loads its page
/// again.
async fn woken_by_visits(env: &TestEnv, id: &str) -> String {
    let wakes = async || {
        env.visit(id).await;
        env.wakes(id).await.pop()
    };
    env.wait_for("the job that wakes it", PATIENCE, wakes).await
}

/// Waits until its schedule has queued the job that wakes an instance.
async fn woken_on_time(env: &TestEnv, id: &str) -> String {
    let wakes = async || env.wakes(id).await.pop();
    env.wait_for("its schedule to wake it", PATIENCE, wakes).await
}

impl Stage {
    /// Causes what no request of the owner causes. Returns the job that is to survive the fault.
    pub(crate) async fn begin_or_end_sleep(&self, id: &str) -> Accepted {
        let env = &self.env;
        let job = match self.row.operation {
            Operation::Wake => woken_by_visits(env, id).await,
            Operation::WakeOnTime => {
                env.execute(&format!("UPDATE instances SET wake_at = now() WHERE id = '{id}'")).await;
                woken_on_time(env, id).await
            }
            Operation::Nap => env.fall_asleep(id, Some(SystemTime::now())).await.expect("an instance that runs"),
            _ => put_to_sleep(env, id).await,
        };
        accepted(id.to_owned(), job)
    }

    /// After a nap, waits until the schedule has woken the instance.
    pub(crate) async fn wait_for_wake(&self, of: &Accepted) {
        if self.row.operation == Operation::Nap {
            let wake = woken_on_time(&self.env, &of.instance).await;
            succeeded(&self.env, &wake).await;
        }
    }

    /// The instance sleeps or is awake, and nothing in between. It was woken as often as something woke it, and can be
    /// woken if it sleeps.
    pub(crate) async fn judge_sleep(&self, of: &Accepted) {
        let (env, row) = (&self.env, self.row);
        let Some(wakes) = row.operation.wakes() else { return };
        let seen = sleep_of(env, &of.instance).await;
        assert_eq!(env.wakes(&of.instance).await.len(), wakes, "jobs that woke it under {}: {seen}", row.name);
        env.assert_sleeps().await;
        if wakes == 0 {
            assert!(is_asleep(&seen), "{}: it does not sleep: {seen}", row.name);
            succeeded(env, &woken_by_visits(env, &of.instance).await).await;
            let seen = sleep_of(env, &of.instance).await;
            assert!(is_awake(&seen) && seen["woken_by"] == "address", "{}: it is not awake: {seen}", row.name);
            return;
        }
        // Also if the job that was to wake it has failed: then its error says why it does not run.
        let is_over = seen["asleep_since"].is_null() && seen["wake_at"].is_null();
        assert!(is_over && seen["desired_state"] == "running", "{}: its sleep is not over: {seen}", row.name);
        let by = if row.operation == Operation::Wake { "address" } else { "schedule" };
        assert_eq!(seen["woken_by"], by, "{}: {seen}", row.name);
    }
}

/// An installation with an instance that runs, and no worker.
async fn running_instance() -> (TestEnv, Accepted) {
    let env = TestEnv::builder().workers(0).lease(4.0).set("CLAWDEPLOY_RECONCILE_SECONDS", "1").build().await;
    env.watch().await;
    let worker = env.add_worker(&WorkerOptions::default()).await;
    let made = create(&env.user("ann").await, "first").await;
    succeeded(&env, &made.job).await;
    worker.terminate().await;
    (env, made)
}

/// Waits until the instance sleeps or is awake. Whichever it is, it runs once somebody has opened its address.
async fn assert_settled(env: &TestEnv, id: &str, what: &str) {
    let settled = async || {
        let row = sleep_of(env, id).await;
        (is_asleep(&row) || is_awake(&row)).then_some(is_asleep(&row))
    };
    if env.wait_for(&format!("an instance that sleeps or runs after {what}"), PATIENCE, settled).await {
        succeeded(env, &woken_by_visits(env, id).await).await;
    }
    assert!(is_awake(&sleep_of(env, id).await), "{what}: {}", sleep_of(env, id).await);
    env.assert_sleeps().await;
    env.assert_invariants().await;
}

/// Nobody asked for the job that fails, so nobody looks after it: whether its gateway is stopped by then or not, the
/// instance must not wait for its owner to repair it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn a_sleep_that_fails_for_good_more() {
    for place in ["before", "between"] {
        let (env, made) = running_instance().await;
        let job = put_to_sleep(&env, &made.instance).await;
        // The next failure is the last.
        env.execute(&format!("UPDATE jobs SET failures = 10 WHERE id = '{job}'")).await;
        let point = format!("stop.stop_container.{place}=1*panic->off");
        env.add_worker(&WorkerOptions::failpoints(&point)).await;
        let failed = ended(&env, &job).await;
        assert_eq!((&failed["status"], &failed["error_code"]), (&json!("failed"), &json!("panic")), "{failed}");
        assert_settled(&env, &made.instance, &format!("a failure {place} the stop")).await;
        env.finish().await;
    }
}
