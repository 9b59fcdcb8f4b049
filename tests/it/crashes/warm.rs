//! Workers die while the warm pool is filled and emptied, and while creations take from it. The pool is held meanwhile, so
//! that it does nothing but what is tested. In the end it is as large as it should be, nothing is lost or left, and what
//! was taken belongs to who asked for it.

use std::{collections::BTreeSet, sync::Arc};

use clawdeploy_shared::db::user::Role;
use clawdeploy_tests::{FakeMode, TestEnv, WorkerOptions, docker, process::Process, warm::HeldPool};
use serde_json::{Value, json};

use super::{
    BATCH, FROM_IMAGE_TO_READY, RECOVERED, assert_whole, crash_and_recover, died, doomed, healthy, jobs, points, some,
};
use crate::support::{SOON, http, instance, port, starts, wait_job, wait_job_within};

/// Those who create instances, in turns.
const PEOPLE: [&str; 2] = ["ann", "bob"];

/// An installation whose pool has one instance as soon as it is released.
async fn environment() -> (TestEnv, HeldPool) {
    environment_of(FakeMode::Ok).await
}

async fn environment_of(image: FakeMode) -> (TestEnv, HeldPool) {
    let env = TestEnv::builder()
        .workers(0)
        .image(image)
        .lease(4.0)
        .set("CLAWDEPLOY_WARM_POOL", "1")
        .set("CLAWDEPLOY_RECONCILE_SECONDS", "1")
        .set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "100")
        .build()
        .await;
    let held = env.hold_pool().await;
    (env, held)
}

/// All kill points of a job whose end changes its instance, also the one in the transaction that does.
fn with_end(steps: &[&str]) -> Vec<String> {
    points(steps).into_iter().chain(["end.during".to_owned()]).collect()
}

/// The pool with this many instances, which a healthy worker makes if there are fewer.
async fn filled(env: &TestEnv, count: usize) -> Vec<String> {
    let mut warm = env.warm_instances().await;
    if warm.len() == count {
        return warm;
    }
    let worker = healthy(env).await;
    while warm.len() < count {
        // The first one alone, as always: it makes the network that all of them share.
        let missing = if warm.is_empty() { 1 } else { count - warm.len() };
        let mut made = Vec::new();
        for _ in 0..missing {
            made.push(env.warm_up().await.job);
        }
        for job in &made {
            wait_job(env, job, "succeeded").await;
        }
        warm = env.warm_instances().await;
    }
    worker.terminate().await;
    warm
}

/// A worker dies at a kill point of the only job in the pool's queue that has not begun. Its lease lasts until
/// [`leases_end`], so that the next one does not take that job instead of its own.
async fn dies_at(env: &TestEnv, point: &str) {
    died(&[doomed(env, point)]).await;
    env.execute("UPDATE jobs SET lease_until = now() + interval '1 hour' WHERE status = 'running'").await;
}

async fn leases_end(env: &TestEnv) {
    env.execute("UPDATE jobs SET lease_until = now() WHERE status = 'running'").await;
}

/// A healthy worker completes the jobs under which others died.
async fn recovered(env: &TestEnv, points: &[String], jobs: &[String]) -> Arc<Process> {
    leases_end(env).await;
    let worker = healthy(env).await;
    let mut crashes = 0;
    for (n, id) in jobs.iter().enumerate() {
        let job = wait_job_within(env, id, "succeeded", RECOVERED).await;
        assert_eq!(job["failures"], 0, "{:?}: a crash is not a failure: {job}", points.get(n));
        crashes += job["crashes"].as_u64().unwrap();
    }
    // Not job by job: on a busy machine, a worker may take one whose lease has expired, and die with that.
    let least = points.iter().filter(|point| *point != "end.after").count();
    assert!(crashes >= least as u64, "{points:?}: only {crashes} crashes");
    worker
}

/// Instances, ports, containers, networks and files are those of the same instances, one each.
async fn assert_matched(env: &TestEnv) {
    let ids = async |sql: &str| -> Vec<String> {
        let mut ids: Vec<_> = env.rows(sql).await.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let (world, instances) = (env.world().await, ids("SELECT id FROM instances").await);
    let ports = ids("SELECT instance_id AS id FROM ports WHERE instance_id IS NOT NULL").await;
    assert_eq!(ports, instances, "ports");
    assert_eq!(sorted(world.containers.iter().map(|c| c.instance.clone()).collect()), instances, "containers");
    assert_eq!(sorted(world.networks), instances, "networks");
    assert_eq!(sorted(world.directories), instances, "files");
    assert!(docker::warm_networks(&env.name).await.len() <= 1, "networks of the pool");
}

/// Instances enter the pool and leave it again, while workers die at these points.
async fn pool_at(entering: &[String], leaving: &[String]) {
    let (env, held) = environment().await;
    let stays = filled(&env, 1).await;
    let turns = entering.len().max(leaving.len()).div_ceil(BATCH);
    let (mut entering, mut leaving) = (entering.chunks(BATCH), leaving.chunks(BATCH));
    for _ in 0..turns {
        let (enter, leave) = (entering.next().unwrap_or_default(), leaving.next().unwrap_or_default());
        let made = enter_at(&env, enter).await;
        env.wait_for_pool(stays.len() + made.len()).await;
        assert_matched(&env).await;
        let warm = filled(&env, stays.len() + made.len().max(leave.len())).await;
        let rest: Vec<String> = warm.into_iter().filter(|id| !stays.contains(id)).collect();
        leave_at(&env, leave, &rest).await;
        env.wait_for_pool(stays.len()).await;
        assert_matched(&env).await;
    }
    held.release().await;
    healthy(&env).await;
    env.wait_for_pool(1).await;
    assert_eq!(env.warm_instances().await, stays, "the pool was as large as it should be");
    env.finish().await;
}

/// Returns the instances that were made. Each has booted once.
async fn enter_at(env: &TestEnv, points: &[String]) -> Vec<String> {
    let mut made = Vec::new();
    for point in points {
        made.push(env.warm_up().await);
        dies_at(env, &format!("warm_up.{point}")).await;
    }
    let (jobs, instances): (Vec<_>, Vec<_>) = made.into_iter().map(|made| (made.job, made.instance)).unzip();
    let worker = recovered(env, points, &jobs).await;
    for (point, id) in points.iter().zip(&instances) {
        assert_eq!(starts(env, id), 1, "{point}: starts of {id}");
    }
    worker.terminate().await;
    instances
}

/// All of these instances leave, also those for which there is no point.
async fn leave_at(env: &TestEnv, points: &[String], instances: &[String]) {
    let mut jobs = Vec::new();
    for (n, id) in instances.iter().enumerate() {
        jobs.push(env.discard(id).await);
        if let Some(point) = points.get(n) {
            dies_at(env, &format!("discard.{point}")).await;
        }
    }
    let worker = recovered(env, points, &jobs).await;
    for id in instances {
        env.assert_nothing_left_of(id).await;
        let rows = format!("SELECT id FROM instances WHERE id = '{id}' UNION SELECT id FROM recoverable_instances");
        assert_eq!(env.rows(&rows).await, Vec::<Value>::new());
    }
    worker.terminate().await;
}

/// The end of a `warm_up` changes nothing but its own row and has no kill points: before it is after `freeze`.
#[tokio::test]
async fn pool_at_some_points() {
    let entering = ["create_container.between", "seclude.between", "freeze.between"];
    let leaving = ["remove_container.between", "drop_directories.between", "end.during"];
    pool_at(&entering.map(str::to_owned), &leaving.map(str::to_owned)).await;
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn pool_at_every_point() {
    let entering = [
        "check_unowned",
        "find_image",
        "reserve_port",
        "create_directories",
        "write_config",
        "create_network",
        "create_container",
        "seclude",
        "start_container",
        "wait_until_ready",
        "freeze",
    ];
    let entering = entering.iter().flat_map(|step| ["before", "between", "after"].map(|at| format!("{step}.{at}")));
    let leaving = with_end(&["check_unowned", "unroute", "remove_container", "remove_network", "drop_directories"]);
    pool_at(&entering.collect::<Vec<_>>(), &leaving).await;
}

/// Creations take all that the pool has, and workers die under them.
async fn take_at(points: &[String]) {
    let (env, held) = environment().await;
    let mut names = 0;
    for points in points.chunks(BATCH) {
        let warm = filled(&env, points.len()).await;
        let mut asked = Vec::new();
        for _ in points {
            names += 1;
            let client = env.user(PEOPLE[names % PEOPLE.len()]).await;
            asked.push((PEOPLE[names % PEOPLE.len()], client.create(&format!("number {names}")).await));
        }
        let taken: BTreeSet<_> = asked.iter().map(|(_, accepted)| &accepted.instance).collect();
        assert_eq!(taken, warm.iter().collect::<BTreeSet<_>>(), "each creation takes another one");
        let (owners, asked): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let worker = crash_and_recover(&env, points, "provision", &jobs(&asked)).await;
        for (owner, accepted) in owners.iter().zip(&asked) {
            assert_whole(&env, &accepted.instance, "running", 1).await;
            assert_owned(&env, &accepted.instance, owner).await;
        }
        env.wait_for_pool(0).await;
        assert_matched(&env).await;
        worker.terminate().await;
    }
    held.release().await;
    healthy(&env).await;
    env.wait_for_pool(1).await;
    assert_matched(&env).await;
    let counted = env.row("SELECT sum(taken) AS taken, sum(missed) AS missed FROM warm_pool_days").await;
    assert_eq!(counted, json!({ "taken": points.len(), "missed": 0 }));
    env.finish().await;
}

/// The instance belongs to who asked for it, and its gateway answers.
async fn assert_owned(env: &TestEnv, id: &str, owner: &str) {
    let owner_id = env.user_id(owner, Role::User).await.to_string();
    assert_eq!(instance(env, id).await["owner_id"], owner_id.as_str(), "{id} is not {owner}'s");
    assert_eq!(http(port(env, id).await, "/readyz").await.map(|(status, _)| status), Some(200), "{id}");
}

#[tokio::test]
async fn take_at_some_points() {
    let points = some([
        "write_config.between",
        "start_container.before",
        "start_container.between",
        "wait_until_ready.after",
        "end.during",
    ]);
    take_at(&points).await;
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn take_at_every_point() {
    let steps: Vec<_> = FROM_IMAGE_TO_READY.into_iter().chain(["route"]).collect();
    take_at(&with_end(&steps)).await;
}

/// One that fails is undone completely, and its row goes with it.
#[tokio::test]
#[ignore = "takes a minute; scripts/test --faults runs it"]
async fn undo_of_a_warm_up_at_every_point() {
    let (env, held) = environment_of(FakeMode::Exit78).await;
    let mut made = Vec::new();
    for undo in ["remove_container", "remove_network", "remove_directories", "release_port"] {
        for place in ["undo", "undone"] {
            made.push(env.warm_up().await);
            dies_at(&env, &format!("warm_up.{undo}.{place}")).await;
        }
    }
    leases_end(&env).await;
    let worker = healthy(&env).await;
    for made in &made {
        let job = wait_job_within(&env, &made.job, "failed", RECOVERED).await;
        assert_eq!((&job["error_code"], &job["unwinding_to"]), (&json!("gateway_exited"), &json!("failed")));
        env.assert_nothing_left_of(&made.instance).await;
    }
    assert_matched(&env).await;
    worker.terminate().await;
    held.release().await;
    env.finish().await;
}

/// The job is given up as it is. Jobs of other dead workers are taken back all the same, and the pool removes what is
/// left and makes another instance.
#[tokio::test]
async fn a_warm_up_whose_undo_kills_every_worker() {
    let (env, held) = environment().await;
    let made = env.warm_up().await;
    let deadly =
        WorkerOptions::failpoints("warm_up.create_container.between=return;warm_up.remove_container.undo=return");
    died(&[env.start_worker(&deadly)]).await;
    // As if it were the fourth, so that the next one that dies is the last that may.
    env.execute(&format!("UPDATE jobs SET crashes = 4 WHERE id = '{}'", made.job)).await;
    died(&[env.start_worker(&deadly)]).await;
    let other = env.user("ann").await.create("first").await;
    died(&[doomed(&env, "provision.create_network.between")]).await;
    healthy(&env).await;
    wait_job_within(&env, &other.job, "succeeded", RECOVERED).await;
    let job = wait_job_within(&env, &made.job, "failed", RECOVERED).await;
    assert_eq!((&job["error_code"], &job["crashes"]), (&json!("worker_crashed"), &json!(6)));
    held.release().await;
    env.wait_for_pool(1).await;
    env.assert_nothing_left_of(&made.instance).await;
    assert_matched(&env).await;
    env.finish().await;
}

/// A call of a worker that was given up may be done by the engine when its instance has left the pool already. The
/// database shows that it did, so what comes too late is removed.
#[tokio::test]
async fn what_comes_too_late_leaves_too() {
    let (env, held) = environment().await;
    let id = filled(&env, 1).await.remove(0);
    let job = env.discard(&id).await;
    healthy(&env).await;
    wait_job(&env, &job, "succeeded").await;
    let (name, image) = (format!("claw-{id}"), FakeMode::Ok.image());
    let (ours, its) = (format!("clawdeploy.deployment={}", env.name), format!("clawdeploy.instance={id}"));
    docker::docker(&["network", "create", "--label", &ours, "--label", &its, &name]).await;
    docker::docker(&["create", "--name", &name, "--label", &ours, "--label", &its, &image, "node"]).await;
    let admin = env.admin().await;
    let gone = async || {
        // Old enough for removal.
        env.execute("UPDATE sightings SET first_seen_at = first_seen_at - interval '1 hour'").await;
        admin.post_empty("/api/admin/reconcile").await.expect(200);
        let world = env.world().await;
        (world.containers_of(&id).is_empty() && !world.networks.contains(&id)).then_some(())
    };
    env.wait_for("what came too late to leave", SOON, gone).await;
    held.release().await;
    env.wait_for_pool(1).await;
    env.finish().await;
}
