//! Reloads do not close connections, and do not accumulate processes.

use std::time::Duration;

use clawdeploy_tests::TestEnv;

use super::behind;
use crate::support::{running, wait_job_within};

const SOCKETS: usize = 50;
const OPERATIONS: usize = 16;
const WORKERS: usize = 2;
/// Instances that are started and stopped, with one job at a time each.
const OPERATED: usize = 4;

#[tokio::test]
async fn sockets_stay_open_while_others_come_and_go() {
    let (env, nginx) = behind(TestEnv::builder().workers(WORKERS)).await;
    let quiet = running(&env, "quiet").await.instance;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(nginx.socket(&quiet).await);
    }
    let ann = env.user("ann").await;
    let mut operated = Vec::new();
    for n in 0..OPERATED {
        operated.push(running(&env, &format!("number {n}")).await.instance);
    }
    let (before, mut most) = (nginx.reloads(), nginx.workers());
    for round in 0..OPERATIONS / OPERATED {
        let verb = if round % 2 == 0 { "stop" } else { "start" };
        let mut jobs = Vec::new();
        for instance in &operated {
            jobs.push(ann.act(instance, verb).await.job);
        }
        for job in jobs {
            wait_job_within(&env, &job, "succeeded", Duration::from_mins(1)).await;
        }
        // Each address is right at once and never shows a bare 502.
        let page = nginx.open(&operated[round % OPERATED]).await;
        assert_eq!(page.status, if verb == "stop" { 503 } else { 200 }, "{page:?}");
        assert_eq!(nginx.open(&quiet).await.status, 200);
        most = most.max(nginx.workers());
    }
    for (n, socket) in sockets.iter_mut().enumerate() {
        socket.assert_alive(&format!("still here {n}")).await;
    }
    let reloads = nginx.reloads() - before;
    println!("{OPERATIONS} operations, {SOCKETS} sockets: {reloads} reloads, {most} nginx workers at most");
    // A change costs at most one reload by each worker: two if nginx is slow to take up the first. Old workers end when
    // they are idle.
    assert!(reloads <= OPERATIONS * WORKERS && most <= 6, "{reloads} reloads, {most} workers");
    env.finish().await;
}
