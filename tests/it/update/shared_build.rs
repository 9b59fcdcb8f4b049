//! Updates that need a build: one build is shared, and old images do not fill the disk.

use std::time::Duration;

use clawdeploy_tests::{FakeMode, TestEnv, client::Accepted, docker};
use futures_util::future::join_all;
use serde_json::json;

use crate::{
    builds::support::{Images, Repo, builds, built, file_url, from_repository, image_id},
    support::{done, instance, running, wait_job, wait_job_within},
};

const PATIENCE: Duration = Duration::from_mins(2);

/// Commits a Dockerfile for a fake gateway of this version.
fn release(repo: &Repo, version: &str) {
    let dockerfile = format!("FROM {}\nCOPY version /\n", FakeMode::Ok.image());
    let package = json!({ "version": version }).to_string();
    repo.commit_files(&[("Dockerfile", &dockerfile), ("package.json", &package), ("version", version)]);
}

/// An installation that has built the first version.
async fn environment(images: &Images, repo: &Repo, dir: &std::path::Path) -> TestEnv {
    release(repo, "2026.9.1");
    let env = from_repository(images, &file_url(dir))
        .set("CLAWDEPLOY_MAX_INSTANCES_PER_USER", "20")
        .set("CLAWDEPLOY_RECONCILE_SECONDS", "1")
        .build()
        .await;
    built(&env, &env.admin().await, &json!({})).await;
    env
}

/// Simultaneous updates share one build.
async fn are_one_build(updates: usize, instances: usize) {
    let (images, dir) = (Images::new("hundred"), tempfile::tempdir().unwrap());
    let repo = Repo::new(dir.path());
    let env = environment(&images, &repo, dir.path()).await;
    let ann = env.user("ann").await;
    let mut made: Vec<Accepted> = Vec::new();
    for n in 0..instances {
        made.push(ann.create(&format!("number {n}")).await);
    }
    for accepted in &made {
        wait_job_within(&env, &accepted.job, "succeeded", PATIENCE).await;
    }
    release(&repo, "2026.9.2");
    let update = async |n: usize| {
        let path = format!("/api/instances/{}/update", made[n % made.len()].instance);
        // So many at once may have to wait for a connection to the database for too long. Then a client tries again.
        let accepted = async || {
            let answer = ann.post_empty(&path).await;
            (answer.status != 503).then(|| answer.accepted().job)
        };
        env.wait_for("the update to be accepted", PATIENCE, accepted).await
    };
    let mut jobs = join_all((0..updates).map(update)).await;
    jobs.sort();
    jobs.dedup();
    for job in &jobs {
        wait_job_within(&env, job, "succeeded", PATIENCE).await;
    }
    let rows = builds(&env.admin().await).await;
    assert_eq!(rows.len(), 2, "there must be one more build: {rows:?}");
    let newest = image_id(&images.target()).await;
    assert_eq!(rows[0]["imageId"], newest);
    for accepted in &made {
        let shown = ann.instance(&accepted.instance).await;
        assert_eq!((&shown["openclawVersion"], &shown["status"]), (&json!("2026.9.2"), &json!("running")));
        assert_eq!(instance(&env, &accepted.instance).await["image_id"], newest);
    }
    assert_eq!(env.rows("SELECT id FROM snapshots").await.len(), instances, "each instance must be updated once");
    env.finish().await;
}

#[tokio::test]
async fn twenty_updates_of_four_instances_are_one_build() {
    are_one_build(20, 4).await;
}

#[tokio::test]
#[ignore = "takes a minute; scripts/test --faults runs it"]
async fn a_hundred_updates_of_ten_instances_are_one_build() {
    are_one_build(100, 10).await;
}

/// Many versions in a row: only the newest images and those for rollbacks stay.
async fn one_after_the_other(updates: usize) {
    let (images, dir) = (Images::new("many"), tempfile::tempdir().unwrap());
    let repo = Repo::new(dir.path());
    let env = environment(&images, &repo, dir.path()).await;
    let foreign = docker::docker(&["image", "inspect", "--format", "{{.Id}}", &FakeMode::Next.image()]).await;
    let made = running(&env, "first").await;
    for n in 0..updates {
        release(&repo, &format!("2026.10.{n}"));
        let job = done(&env, &made.instance, "update").await;
        assert_eq!(job["kind"], "update");
    }
    let shown = env.user("ann").await.instance(&made.instance).await;
    assert_eq!(shown["openclawVersion"], format!("2026.10.{}", updates - 1));
    let label = format!("label=clawdeploy.deployment={}", env.name);
    let bounded = async || {
        let listed = docker::docker(&["images", "--no-trunc", "--quiet", "--filter", &label]).await;
        let ids: std::collections::BTreeSet<_> = listed.lines().collect();
        (ids.len() <= 4).then_some(())
    };
    env.wait_for("old images to go", Duration::from_secs(30), bounded).await;
    docker::docker(&["image", "inspect", "--format", "{{.Id}}", foreign.trim()]).await;
    // A rollback still works.
    let back = env.user("ann").await.act(&made.instance, "rollback").await;
    wait_job(&env, &back.job, "succeeded").await;
    env.finish().await;
}

#[tokio::test]
async fn five_versions_one_after_the_other() {
    one_after_the_other(5).await;
}

#[tokio::test]
#[ignore = "takes minutes; scripts/test --faults runs it"]
async fn fifty_versions_one_after_the_other() {
    one_after_the_other(50).await;
}
