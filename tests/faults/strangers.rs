//! The database or the engine is replaced by another one while workers run.

use clawdeploy_tests::{
    Hold, TestEnv, WorkerOptions, database, docker,
    docker_proxy::{Action, DockerProxy},
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};

use crate::support::{PATIENCE, create, job, logged, starts, succeeded};

/// Renames a database and disconnects its clients.
async fn rename(maintenance: &mut AsyncPgConnection, from: &str, to: &str) {
    maintenance.batch_execute(&format!("ALTER DATABASE {from} WITH ALLOW_CONNECTIONS false")).await.unwrap();
    database::terminate_sessions(maintenance, from).await.unwrap();
    let sql = format!("ALTER DATABASE {from} RENAME TO {to}; ALTER DATABASE {to} WITH ALLOW_CONNECTIONS true");
    for statement in sql.split(';') {
        maintenance.batch_execute(statement).await.unwrap();
    }
}

/// A failover to an empty database while a worker runs, and back.
#[tokio::test]
async fn a_failover_to_an_empty_database() {
    let env = TestEnv::builder().lease(4.0).set("CLAWDEPLOY_RECONCILE_SECONDS", "1").build().await;
    let made = create(&env.user("ann").await, "first").await;
    succeeded(&env, &made.job).await;
    // The sweep `snapshots` does not wait.
    let kept = env.data_dir.join(".snapshots").join(&made.instance).join(uuid::Uuid::now_v7().to_string());
    let (ours, away) = (env.database(), format!("{}_away", env.database()));
    let mut maintenance = database::maintenance().await.unwrap();
    rename(&mut maintenance, &ours, &away).await;
    std::fs::create_dir_all(&kept).unwrap();
    database::create(&ours).await.unwrap();
    let settled = "SELECT 1 AS one FROM workers WHERE standby_code = 'wrong_database' UNION SELECT 1 FROM sweeps WHERE name = 'snapshots' AND ran_at IS NOT NULL";
    let so = async || (!env.rows(settled).await.is_empty()).then_some(());
    env.wait_for("a verdict, or a sweep", PATIENCE, so).await;
    assert!(kept.exists(), "a sweep removed files of another database");
    assert!(env.rows("SELECT name FROM sweeps WHERE ran_at IS NOT NULL").await.is_empty(), "a sweep ran");
    let other = format!("{ours}_other");
    rename(&mut maintenance, &ours, &other).await;
    rename(&mut maintenance, &away, &ours).await;
    maintenance.batch_execute(&format!("DROP DATABASE {other} WITH (FORCE)")).await.unwrap();
    logged(&env, &env.worker(0), "this worker is at work").await;
    std::fs::remove_dir(&kept).unwrap();
    let again = create(&env.user("ann").await, "second").await;
    succeeded(&env, &again.job).await;
    assert_eq!(starts(&env, &made.instance), 1, "it was restarted");
    env.finish().await;
}

/// The engine is replaced in the middle of a job, and comes back.
#[tokio::test]
async fn another_engine_under_a_running_job() {
    let dir = tempfile::tempdir().unwrap();
    let engine = DockerProxy::new(dir.path());
    let env = TestEnv::builder()
        .workers(0)
        .set("CLAWDEPLOY_DOCKER_HOST", &engine.host())
        .set("CLAWDEPLOY_RECONCILE_SECONDS", "1")
        .build()
        .await;
    let hold = Hold::default();
    let worker = env.add_worker(&WorkerOptions::failpoints(&hold.at("delete.stop_container.before"))).await;
    let ann = env.user("ann").await;
    let made = create(&ann, "first").await;
    succeeded(&env, &made.job).await;
    let removal = ann.remove(&made.instance).await;
    hold.reached(&env).await;
    engine.fault("GET", "/info", Action::OtherEngine, 0);
    logged(&env, &worker, "This worker stands by").await;
    hold.release();
    // The job is handed back without a failure, and not claimed again.
    let back = async || (job(&env, &removal.job).await["status"] == "queued").then_some(());
    env.wait_for("the job to be handed back", PATIENCE, back).await;
    assert_eq!(docker::containers(&env.name).await[0].state, "running", "the other engine was used");
    assert!(env.data_dir.join(&made.instance).exists());
    engine.heal();
    let ended = succeeded(&env, &removal.job).await;
    assert_eq!(ended["crashes"], 0, "{ended}");
    env.assert_nothing_left_of(&made.instance).await;
    env.finish().await;
}
