//! The database is restored from an older dump while the installation has newer instances: none of them is removed.

use std::{process::Stdio, time::Duration};

use clawdeploy_tests::{TestEnv, WorkerOptions, docker};
use serde_json::json;
use tokio::process::Command;

use crate::support::{create, succeeded};

/// Runs a program of Postgres on the installation's database.
async fn postgres(env: &TestEnv, program: &str, arguments: &[&str]) {
    let url = env.settings().iter().find(|(name, _)| name == "CLAWDEPLOY_DATABASE_URL").unwrap();
    let url: reqwest::Url = url.1.parse().unwrap();
    let mut command = Command::new(program);
    command.env("PGHOST", url.host_str().unwrap()).env("PGPORT", url.port().unwrap().to_string());
    command.env("PGUSER", url.username()).env("PGPASSWORD", url.password().unwrap()).env("PGDATABASE", env.database());
    let output = command.args(arguments).stderr(Stdio::piped()).output().await.expect("a program of Postgres");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "long; run by scripts/test --faults"]
async fn an_older_dump_takes_nothing_away() {
    let env = TestEnv::builder().workers(1).set("CLAWDEPLOY_RECONCILE_SECONDS", "1").build().await;
    let (ann, admin) = (env.user("ann").await, env.admin().await);
    let old = create(&ann, "old").await;
    succeeded(&env, &old.job).await;
    let dump = env.scratch().join("yesterday.dump").display().to_string();
    postgres(&env, "pg_dump", &["--format", "custom", "--no-owner", "--no-privileges", "--file", &dump]).await;

    let newer = create(&ann, "newer").await;
    succeeded(&env, &newer.job).await;
    let before = ann.instance(&newer.instance).await;
    let note = env.data_dir.join(&newer.instance).join("workspace/note.txt");
    tokio::fs::write(&note, "mine").await.unwrap();
    for worker in env.workers() {
        worker.terminate().await;
    }
    // As scripts/restore does: `pg_restore --clean` cannot drop the keys of partitions.
    let empty = "SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    postgres(&env, "psql", &["--quiet", "--set", "ON_ERROR_STOP=1", "--command", empty]).await;
    postgres(&env, "pg_restore", &["--no-owner", "--dbname", &env.database(), &dump]).await;

    env.add_worker(&WorkerOptions::default()).await;
    let named = async || {
        let listed = admin.get("/api/admin/recoverable-instances").await.expect(200).json;
        listed["items"].as_array().unwrap().iter().find(|row| row["id"] == newer.instance.as_str()).cloned()
    };
    let listed = env.wait_for("the newer instance to be named", Duration::from_secs(30), named).await;
    assert_eq!((&listed["name"], &listed["state"]), (&json!("newer"), &json!("unclaimed")));
    // Make all sightings old enough for removal.
    for _ in 0..3 {
        env.execute("UPDATE sightings SET first_seen_at = first_seen_at - interval '1 hour'").await;
        admin.post_empty("/api/admin/reconcile").await.expect(200);
    }
    assert!(note.is_file() && docker::exists(&format!("claw-{}", newer.instance)).await, "it went");

    let restore = format!("/api/admin/recoverable-instances/{}/restore", newer.instance);
    let accepted = admin.post_empty(&restore).await.accepted();
    succeeded(&env, &accepted.job).await;
    let after = ann.instance(&newer.instance).await;
    for same in ["status", "name", "gatewayToken", "createdAt"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "mine");
    assert_eq!(ann.instance(&old.instance).await["status"], "running");
    env.finish().await;
}
