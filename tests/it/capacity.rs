//! A host that is full says so: more instances are asked for at once than its memory carries.

use std::{fs, time::Duration};

use clawdeploy_tests::TestEnv;
use serde_json::json;

use crate::support::wait_job_within;

const ASKED: usize = 30;
const FIT: usize = 5;
/// Memory of each instance, in MiB.
const EACH_MB: usize = 1536;

/// Memory of this machine, in MiB, as the engine tells it.
fn machine_mb() -> usize {
    let told = fs::read_to_string("/proc/meminfo").unwrap();
    let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let kib: usize = total.split_whitespace().next().unwrap().parse().unwrap();
    kib / 1024
}

#[tokio::test]
async fn of_a_burst_what_fits_runs_and_the_others_are_told() {
    // All but the memory of five instances is reserved.
    let reserved = machine_mb() - FIT * EACH_MB;
    let env = TestEnv::builder()
        .set("CLAWDEPLOY_MEMORY_OVERCOMMIT", "1")
        .set("CLAWDEPLOY_RESERVED_MEMORY_MB", &reserved.to_string())
        .set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "100")
        .build()
        .await;
    let told = async || env.row("SELECT max(memory_mb) AS memory FROM workers").await["memory"].as_u64();
    let memory = env.wait_for("the worker to tell of its host", Duration::from_secs(20), told).await;
    assert_eq!(memory, machine_mb() as u64);

    let (ann, form) = (env.user("ann").await, |n: usize| json!({ "name": format!("n{n}"), "memoryMb": EACH_MB }));
    let mut asked = Vec::new();
    for n in 0..ASKED {
        let client = ann.clone();
        asked.push(tokio::spawn(async move { client.post("/api/instances", &form(n)).await }));
    }
    let (mut made, mut refused) = (Vec::new(), 0);
    for one in asked {
        let answer = one.await.unwrap();
        if answer.status.as_u16() == 202 {
            made.push(answer.accepted());
        } else {
            assert_eq!(answer.code(), "host_full", "{}", answer.text);
            refused += 1;
        }
    }
    assert_eq!((made.len(), refused), (FIT, ASKED - FIT));
    for one in &made {
        wait_job_within(&env, &one.job, "succeeded", Duration::from_mins(2)).await;
    }
    let running = env.row("SELECT count(*) AS n FROM instances WHERE status = 'running'").await["n"].as_u64();
    assert_eq!(running, Some(FIT as u64));

    // There is room again when one has stopped.
    let stop = ann.post_empty(&format!("/api/instances/{}/stop", made[0].instance)).await.accepted();
    wait_job_within(&env, &stop.job, "succeeded", Duration::from_mins(1)).await;
    let another = ann.post("/api/instances", &form(ASKED)).await.accepted();
    wait_job_within(&env, &another.job, "succeeded", Duration::from_mins(1)).await;
    assert_eq!(ann.post_empty(&format!("/api/instances/{}/start", made[0].instance)).await.code(), "host_full");
    env.finish().await;
}
