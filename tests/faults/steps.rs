//! Every step of a job fails for good or is cancelled, and a worker dies right after each undo, so that each undo runs
//! twice. (`crashes` of the binary `it` tests that each step can run twice.) Everything must be undone, and the
//! operation must work afterwards.

use std::{sync::Arc, time::Duration};

use clawdeploy_tests::{TestEnv, WorkerOptions, client::Accepted, process::Process};
use serde_json::{Value, json};

use crate::support::{PATIENCE, create, ended, job, say, starts, succeeded};

/// Jobs that run at the same time, each with its own instance and worker.
const BATCH: usize = 4;

const FROM_IMAGE_TO_READY: [&str; 8] = [
    "find_image",
    "reserve_port",
    "create_directories",
    "write_config",
    "create_network",
    "create_container",
    "start_container",
    "wait_until_ready",
];

/// How the job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Fails,
    Cancelled,
}

/// One job.
#[derive(Debug, Clone)]
struct Case {
    kind: &'static str,
    /// The last step that runs.
    step: &'static str,
    way: Way,
    /// The undo after which the worker dies; `None` if nothing is undone.
    undo: Option<&'static str>,
}

/// Steps of a job kind that have an undo, with its name.
fn undos(kind: &str) -> &'static [(&'static str, &'static str)] {
    match kind {
        "provision" => &[
            ("reserve_port", "release_port"),
            ("create_directories", "remove_directories"),
            ("create_network", "remove_network"),
            ("create_container", "remove_container"),
        ],
        "start" => &[("start_container", "stop_container")],
        "restart" => &[("stop_container", "start_container")],
        _ => &[],
    }
}

/// Each step with each undo that it requires.
fn cases(kind: &'static str, steps: &[&'static str], ways: &[Way]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, step) in steps.iter().copied().enumerate() {
        let due: Vec<_> =
            undos(kind).iter().filter(|(of, _)| steps[..=n].contains(of)).map(|(_, u)| Some(*u)).collect();
        for way in ways {
            let due = if due.is_empty() { &[None][..] } else { &due };
            cases.extend(due.iter().map(|undo| Case { kind, step, way: *way, undo: *undo }));
        }
    }
    cases
}

impl Case {
    fn points(&self) -> String {
        let Self { kind, step, undo, .. } = self;
        let dies = undo.map(|undo| format!(";{kind}.{undo}.undone=return")).unwrap_or_default();
        format!("{kind}.{step}.between=1*panic->off{dies}")
    }

    /// Status and error of the instance at the end.
    fn leads_to(&self) -> (&'static str, Value) {
        match (self.way, self.kind) {
            // The undo of the stop has started the gateway again, and its status is what counts.
            (_, "restart") => ("running", Value::Null),
            (Way::Fails, _) => ("error", json!("panic")),
            (Way::Cancelled, "provision") => ("error", json!("cancelled")),
            (Way::Cancelled, _) => ("stopped", Value::Null),
        }
    }
}

async fn worker(env: &TestEnv) -> Arc<Process> {
    env.add_worker(&WorkerOptions::default()).await
}

async fn ask(env: &TestEnv, kind: &str, instance: &str) -> Accepted {
    let ann = env.user("ann").await;
    if kind == "delete" { ann.remove(instance).await } else { ann.act(instance, kind).await }
}

/// Creates an instance in the state that the job needs.
async fn begin(env: &TestEnv, n: usize, case: &Case) -> Accepted {
    let made = create(&env.user("ann").await, &format!("number {n}")).await;
    succeeded(env, &made.job).await;
    if case.kind == "start" {
        succeeded(env, &ask(env, "stop", &made.instance).await.job).await;
    }
    made
}

async fn run(cases: Vec<Case>) {
    let env = TestEnv::builder()
        .workers(0)
        .lease(4.0)
        .set("CLAWDEPLOY_RECONCILE_SECONDS", "1")
        .set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "100")
        .build()
        .await;
    env.watch().await;
    for (n, batch) in cases.chunks(BATCH).enumerate() {
        say(&format!("{batch:?}"));
        let mut made = Vec::new();
        if batch[0].kind != "provision" {
            let healthy = worker(&env).await;
            for (m, case) in batch.iter().enumerate() {
                made.push(begin(&env, n * BATCH + m, case).await.instance);
            }
            healthy.terminate().await;
        }
        let mut tried = Vec::new();
        for (m, case) in batch.iter().enumerate() {
            let asked = match made.get(m) {
                Some(instance) => ask(&env, case.kind, instance).await,
                None => create(&env.user("ann").await, &format!("number {}", n * BATCH + m)).await,
            };
            fail(&env, case, &asked).await;
            tried.push(asked);
        }
        for asked in &tried {
            lease(&env, asked, "now()").await;
        }
        let healthy = worker(&env).await;
        for (case, asked) in batch.iter().zip(&tried) {
            judge(&env, case, asked).await;
        }
        env.assert_invariants().await;
        env.assert_starts().await;
        // Afterwards the operation works, and the instance can be deleted.
        for (case, asked) in batch.iter().zip(&tried) {
            let again = if ["provision", "stop"].contains(&case.kind) { "start" } else { case.kind };
            succeeded(&env, &ask(&env, again, &asked.instance).await.job).await;
            if case.kind != "delete" {
                succeeded(&env, &ask(&env, "delete", &asked.instance).await.job).await;
            }
            env.assert_nothing_left_of(&asked.instance).await;
        }
        healthy.terminate().await;
    }
    env.finish().await;
}

/// Lets a worker run the job up to the step, undo it, and die.
async fn fail(env: &TestEnv, case: &Case, asked: &Accepted) {
    // With this many earlier failures, the next one is the last, or is followed by a pause of at least five seconds.
    let failures = if case.way == Way::Fails { 10 } else { 3 };
    env.execute(&format!("UPDATE jobs SET failures = {failures} WHERE id = '{}'", asked.job)).await;
    let options = WorkerOptions::failpoints(&case.points()).set("CLAWDEPLOY_LIFECYCLE_CONCURRENCY", "1");
    let doomed = env.start_worker(&options);
    if case.way == Way::Cancelled {
        let pauses = async || (job(env, &asked.job).await["failures"] == failures + 1).then_some(());
        env.wait_for("the pause after a failure", PATIENCE, pauses).await;
        let path = format!("/api/jobs/{}/cancel", asked.job);
        env.user("ann").await.post_empty(&path).await.expect(202);
    }
    if case.undo.is_some() {
        let died = async || doomed.try_ended().await;
        env.wait_for("the worker to die in its undo", PATIENCE, died).await;
        // So that the next dying worker does not take the job over. That is done when all have died.
        lease(env, asked, "now() + interval '1 hour'").await;
    } else {
        ended(env, &asked.job).await;
        doomed.terminate().await;
    }
}

/// Sets the end of a job's lease.
async fn lease(env: &TestEnv, of: &Accepted, until: &str) {
    env.execute(&format!("UPDATE jobs SET lease_until = {until} WHERE id = '{}' AND status = 'running'", of.job)).await;
}

async fn judge(env: &TestEnv, case: &Case, asked: &Accepted) {
    let done = ended(env, &asked.job).await;
    let (status, code) = case.leads_to();
    let ends_as = if case.way == Way::Fails { "failed" } else { "cancelled" };
    assert_eq!(done["status"], ends_as, "{case:?}: {done}");
    if case.undo.is_some() {
        assert_eq!(done["crashes"], 1, "{case:?}: {done}");
    }
    let shows = async || {
        let row = env.row(&format!("SELECT status, error_code FROM instances WHERE id = '{}'", asked.instance)).await;
        (row["status"] == status && row["error_code"] == code).then_some(())
    };
    // The reconciler sets the status of a restarted gateway once it answers.
    env.wait_for(&format!("{status} after {case:?}"), Duration::from_secs(20), shows).await;
    if case.kind == "provision" {
        env.assert_nothing_left_of(&asked.instance).await;
    } else if case.kind == "restart" {
        let (run, world) = (starts(env, &asked.instance), env.world().await);
        let states: Vec<_> = world.containers_of(&asked.instance).iter().map(|c| c.state.clone()).collect();
        assert_eq!((run, states), (2, vec!["running".to_owned()]), "{case:?}");
    }
    let twice = "SELECT step FROM job_events WHERE kind = 'step_undone'";
    let undone = env.rows(&format!("{twice} AND job_id = '{}'", asked.job)).await;
    assert!(undone.len() >= usize::from(case.undo.is_some()), "{case:?}: {undone:?}");
    assert_eq!(job(env, &asked.job).await["unwinding_to"], ends_as, "{case:?}");
}

const BOTH: &[Way] = &[Way::Fails, Way::Cancelled];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_step_of_a_start() {
    run(cases("start", &FROM_IMAGE_TO_READY, BOTH).split_off(2 * (FROM_IMAGE_TO_READY.len() - 1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn provision_fails_more() {
    run(cases("provision", &FROM_IMAGE_TO_READY, &[Way::Fails])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn provision_is_cancelled_more() {
    run(cases("provision", &FROM_IMAGE_TO_READY, &[Way::Cancelled])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn start_more() {
    run(cases("start", &FROM_IMAGE_TO_READY, BOTH)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn restart_more() {
    let steps: Vec<_> = ["stop_container"].into_iter().chain(FROM_IMAGE_TO_READY).collect();
    run(cases("restart", &steps, BOTH)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn stop_more() {
    run(cases("stop", &["stop_container"], BOTH)).await;
}

/// A delete that has started cannot be cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test --faults"]
async fn delete_more() {
    let steps = ["stop_container", "remove_container", "remove_network", "remove_directories"];
    run(cases("delete", &steps, &[Way::Fails])).await;
}
