//! Requests to an instance that sleeps are held until it runs.

use clawdeploy_tests::TestEnv;

use super::behind;
use crate::support::{running, starts, wait_job};

/// Lets it fall asleep, frozen or stopped.
async fn asleep(env: &TestEnv, id: &str, frozen: bool) {
    let job = if frozen { env.freeze(id, None).await } else { env.fall_asleep(id, None).await };
    wait_job(env, &job.expect("an instance that runs"), "succeeded").await;
}

/// Waits until the job that woke it last has ended.
async fn awake(env: &TestEnv, id: &str) {
    wait_job(env, env.wakes(id).await.last().expect("a job that wakes it"), "succeeded").await;
}

#[tokio::test]
async fn what_wakes_it_arrives() {
    let (env, nginx) = behind(TestEnv::builder().set("CLAWDEPLOY_FROZEN_MINUTES", "600")).await;
    let made = running(&env, "first").await;
    let id = &made.instance;
    let body = "a body ".repeat(10_000);
    let hook =
        ["--max-time", "60", "--header", "Expect:", "--header", "Cookie: a=1; __Host-clawdeploy=x", "--data", &body];
    for frozen in [false, true] {
        if frozen {
            assert!(env.can_be_released(id));
        }
        asleep(&env, id, frozen).await;
        let told = nginx.get(id, "/echo", &hook).await;
        // Thawing is no start.
        assert_eq!((told.status, starts(&env, id)), (200, 2), "{}", told.head);
        let (head, rest) = told.body.split_once("\r\n\r\n").unwrap();
        assert!(rest == body, "{} bytes instead of {}", rest.len(), body.len());
        let head = head.to_lowercase();
        assert!(head.starts_with("post /echo http/1.1\r\n") && head.contains("\r\ncookie: a=1"), "{head}");
        for part in
            ["\r\nx-forwarded-for: 203.0.113.7", "\r\nx-forwarded-proto: https", &format!("\r\nhost: {id}.claw.test")]
        {
            assert!(head.contains(part), "{part:?} in {head}");
        }
        assert!(!head.contains("x-clawdeploy") && !told.head.contains("x-clawdeploy"), "{head} {}", told.head);
        assert_eq!(env.user("ann").await.instance(id).await["lastWake"]["by"], "address");
        awake(&env, id).await;
    }
    // The fake gateway echoes on WebSockets again.
    std::fs::remove_file(env.data_dir.join(id).join("config/socket")).unwrap();
    asleep(&env, id, false).await;
    nginx.socket(id).await.assert_alive("hello").await;
    awake(&env, id).await;
    env.finish().await;
}

/// What nginx asks the API is for nginx only.
#[tokio::test]
async fn nobody_outside_asks_where_it_runs() {
    let (env, nginx) = behind(TestEnv::builder()).await;
    let made = running(&env, "first").await;
    for (host, path) in [
        (format!("{}.claw.test", made.instance), "/__clawdeploy/hold".to_owned()),
        ("panel.test".to_owned(), format!("/pages/instances/{}/hold", made.instance)),
    ] {
        let answer = nginx.get_at(&host, &path, &[]).await;
        assert!(answer.status == 404 && !answer.head.contains("x-clawdeploy"), "{answer:?}");
    }
    env.finish().await;
}
