//! A worker of one release dies during a change, and a worker of the other one completes it.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, TestEnv, programs::Program};
use serde_json::json;

use super::life::worker;
use crate::{
    support::{http, instance, running, wait_job_within},
    update::support::{assert_as_before, image_id, look, retire, update, write_state},
};

const RECOVERED: Duration = Duration::from_mins(1);

/// Kill points of the first worker.
const POINTS: [&str; 4] =
    ["stop_gateway.between", "take_snapshot.after", "remove_container.after", "start_gateway.between"];

async fn taken_over(dies: Program, goes_on: Program) {
    for (image, status) in [(FakeMode::Next, "succeeded"), (FakeMode::Migrate, "failed")] {
        let env = TestEnv::builder().lease(60.0).ready(6.0).build().await;
        let mut asked = Vec::new();
        for n in 0..POINTS.len() {
            let made = running(&env, &format!("no {n}")).await.instance;
            write_state(&env, &made);
            asked.push((look(&env, &made).await, made));
        }
        retire(&env).await;
        let mut jobs = Vec::new();
        for ((_, made), point) in asked.iter().zip(POINTS) {
            jobs.push(update(&env, made).await.job);
            let doomed = worker(dies, image).set("FAILPOINTS", &format!("update.{point}=return"));
            env.start_worker(&doomed).ended_within(RECOVERED).await;
        }
        // Long leases, so that no dying worker took over another one's job. Expire them now.
        env.execute("UPDATE jobs SET lease_until = now() - interval '1 second' WHERE status = 'running'").await;
        env.add_worker(&worker(goes_on, image)).await;
        for ((before, made), job) in asked.iter().zip(&jobs) {
            wait_job_within(&env, job, status, RECOVERED).await;
            if status == "failed" {
                assert_as_before(&env, made, before).await;
                continue;
            }
            let row = instance(&env, made).await;
            assert_eq!((&row["status"], &row["image_id"]), (&json!("running"), &json!(image_id(image).await)));
            assert_eq!(http(before.port, "/readyz").await.map(|(status, _)| status), Some(200));
        }
        env.finish().await;
    }
}

#[tokio::test]
#[ignore = "needs the programs of the release before: scripts/test --compat"]
async fn a_change_of_the_previous_release_is_ended_by_this_one() {
    taken_over(Program::PreviousWorker, Program::Worker).await;
}

#[tokio::test]
#[ignore = "needs the programs of the release before: scripts/test --compat"]
async fn a_change_of_this_release_is_ended_by_the_previous_one() {
    taken_over(Program::Worker, Program::PreviousWorker).await;
}
