//! Workers die while instances fall asleep and while they wake. The jobs are those of a stop and a start; beyond these,
//! an instance ends asleep or awake, and is woken once.

use clawdeploy_tests::{FakeMode, TestEnv};

use super::{
    BATCH, FROM_IMAGE_TO_READY, assert_whole, assert_whole_with, crash_and_recover, create, environment, finish_all,
    healthy, points, some,
};
use crate::support::instance;

/// Whether gateways are frozen or stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Frozen,
    Stopped,
}

/// Instances fall asleep and wake in turns, until workers have died at all of these points.
async fn asleep_at(depth: Depth, falling: &[String], waking: &[String]) {
    let env = environment(FakeMode::Ok).await;
    let ann = env.user("ann").await;
    let worker = healthy(&env).await;
    let made = create(&ann, &env, BATCH).await;
    finish_all(&env, &made).await;
    worker.terminate().await;
    let instances: Vec<String> = made.into_iter().map(|accepted| accepted.instance).collect();
    for id in &instances {
        assert!(env.can_be_released(id));
    }
    let turns = falling.len().max(waking.len()).div_ceil(BATCH);
    let (mut falling, mut waking) = (falling.chunks(BATCH), waking.chunks(BATCH));
    for turn in 1..=turns {
        fall_asleep(&env, depth, &instances, falling.next().unwrap_or_default(), turn).await;
        wake(&env, depth, &instances, waking.next().unwrap_or_default(), turn).await;
    }
    env.assert_sleeps().await;
    env.finish().await;
}

async fn fall_asleep(env: &TestEnv, depth: Depth, instances: &[String], points: &[String], turn: usize) {
    let mut jobs = Vec::new();
    for id in instances {
        let job = match depth {
            Depth::Frozen => env.freeze(id, None).await,
            Depth::Stopped => env.fall_asleep(id, None).await,
        };
        jobs.push(job.expect("an instance that runs"));
    }
    let worker = crash_and_recover(env, points, "stop", &jobs).await;
    for id in instances {
        match depth {
            Depth::Frozen => assert_whole_with(env, id, "stopped", "paused", 1).await,
            Depth::Stopped => assert_whole(env, id, "stopped", turn).await,
        }
        let row = instance(env, id).await;
        assert!(row["desired_state"] == "stopped" && row["asleep_since"].is_string(), "{points:?}: not asleep: {row}");
        assert_eq!(env.wakes(id).await.len(), turn - 1, "{points:?}: something woke {id}");
    }
    worker.terminate().await;
}

async fn wake(env: &TestEnv, depth: Depth, instances: &[String], points: &[String], turn: usize) {
    // The schedule is due too, but somebody is faster: that must not wake the instance a second time.
    env.execute("UPDATE instances SET wake_at = now()").await;
    let mut jobs = Vec::new();
    for id in instances {
        let page = env.visit(id).await.expect(503);
        assert!(page.text.contains("Waking up"), "{}", page.text);
        jobs.extend(env.wakes(id).await.pop());
    }
    let worker = crash_and_recover(env, points, "start", &jobs).await;
    for id in instances {
        assert_whole(env, id, "running", if depth == Depth::Frozen { 1 } else { turn + 1 }).await;
        let row = instance(env, id).await;
        let awake = row["asleep_since"].is_null() && row["wake_at"].is_null() && row["woken_by"] == "address";
        assert!(row["desired_state"] == "running" && awake, "{points:?}: not awake: {row}");
        assert_eq!(env.wakes(id).await.len(), turn, "{points:?}: {id} was not woken once");
    }
    worker.terminate().await;
}

/// All kill points, also the one in the transaction that ends the job.
fn all_points(steps: &[&str]) -> Vec<String> {
    points(steps).into_iter().chain(["end.during".to_owned()]).collect()
}

#[tokio::test]
async fn at_some_points() {
    let falling = some(["unroute.after", "stop_container.before", "stop_container.between", "end.during", "end.after"]);
    let waking = some([
        "reserve_port.after",
        "create_container.between",
        "start_container.between",
        "wait_until_ready.between",
        "end.during",
    ]);
    asleep_at(Depth::Stopped, &falling, &waking).await;
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn at_every_point() {
    let waking: Vec<_> = FROM_IMAGE_TO_READY.into_iter().chain(["route"]).collect();
    asleep_at(Depth::Stopped, &all_points(&["unroute", "stop_container"]), &all_points(&waking)).await;
}

/// A gateway that is frozen wakes without a boot, wherever workers die.
#[tokio::test]
async fn frozen_at_some_points() {
    let falling = some(["unroute.after", "stop_container.before", "stop_container.between", "end.during", "end.after"]);
    let waking = some([
        "create_container.between",
        "start_container.before",
        "start_container.between",
        "wait_until_ready.between",
        "end.during",
    ]);
    asleep_at(Depth::Frozen, &falling, &waking).await;
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn frozen_at_every_point() {
    let waking: Vec<_> = FROM_IMAGE_TO_READY.into_iter().chain(["route"]).collect();
    asleep_at(Depth::Frozen, &all_points(&["unroute", "stop_container"]), &all_points(&waking)).await;
}
