//! The pages of an instance: terminals, logs, usage, devices, settings, sleep.

use std::time::{Duration, SystemTime};

use clawdeploy_tests::{FakeMode, TestEnv};

use super::{EMAIL, walk};
use crate::support::{account, wait_job};

/// An installation with an account.
async fn site() -> TestEnv {
    let env = TestEnv::builder().image(FakeMode::Shell).build().await;
    account(&env, EMAIL).await;
    env
}

#[tokio::test]
async fn terminals() {
    let env = site().await;
    walk(&env, "terminal.mjs", &env.base, &[], &[]).await;
    env.finish().await;
}

#[tokio::test]
async fn terminals_that_are_cut_off() {
    let env = site().await;
    walk(&env, "connection.mjs", &env.base, &[], &[]).await;
    env.finish().await;
}

#[tokio::test]
async fn logs_usage_and_devices() {
    let env = site().await;
    tokio::join!(walk(&env, "inside.mjs", &env.base, &[], &[]), past(&env));
    env.finish().await;
}

#[tokio::test]
async fn settings() {
    let env = site().await;
    walk(&env, "settings.mjs", &env.base, &[], &[]).await;
    env.finish().await;
}

/// Two of three instances sleep; the schedule of one of them is due in a day.
#[tokio::test]
async fn sleep() {
    // Slow, so that waking takes a moment, as it does with the real one.
    let env = TestEnv::builder().image(FakeMode::Slow).build().await;
    account(&env, EMAIL).await;
    let eve = env.user("eve").await;
    let mut made = Vec::new();
    for name in ["Night owl", "Dormouse", "Early bird"] {
        made.push(eve.create(name).await);
    }
    for accepted in &made {
        wait_job(&env, &accepted.job, "succeeded").await;
    }
    let tomorrow = SystemTime::now() + Duration::from_hours(24);
    for (accepted, wake_at) in made.iter().zip([Some(tomorrow), None]) {
        let job = env.fall_asleep(&accepted.instance, wake_at).await.expect("an instance that runs");
        wait_job(&env, &job, "succeeded").await;
    }
    walk(&env, "sleep.mjs", &env.base, &[], &[]).await;
    env.assert_sleeps().await;
    env.finish().await;
}

/// A day of usage data with a gap, as if the instance were older than the walk.
async fn past(env: &TestEnv) {
    let running = async || env.rows("SELECT id FROM instances WHERE status = 'running'").await.pop();
    // The walk first opens a browser, signs in and creates the instance.
    env.wait_for("an instance", Duration::from_mins(3), running).await;
    let measured = env
        .execute(
            "INSERT INTO instance_usage SELECT i.id, date_trunc('minute', now()) - n * interval '1 minute', \
               sum((1 + sin(n / 37.0) + 0.4 * sin(n / 5.0)) ^ 2 * 4e9 + 3e8) OVER so_far, \
               (520 + 110 * sin(n / 90.0) + 30 * sin(n / 11.0)) * 1048576, 2048::bigint << 20, \
               sum((1 + sin(n / 23.0)) * 2e6) OVER so_far, sum((1 + sin(n / 23.0 + 1)) * 5e5) OVER so_far, \
               (300 - n / 20) * 1048576, 40 \
             FROM instances i, generate_series(2, 1435) n WHERE n NOT BETWEEN 170 AND 215 \
             WINDOW so_far AS (PARTITION BY i.id ORDER BY n DESC)",
        )
        .await;
    assert!(measured > 1000, "{measured}");
}
