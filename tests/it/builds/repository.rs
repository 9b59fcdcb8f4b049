//! Builds from a local repository.

use clawdeploy_tests::docker;
use serde_json::json;

use super::support::{Images, Repo, ask, builds, built, file_url, from_repository, image_id};
use crate::support::{SOON, job, wait_job, wait_job_within};

#[tokio::test]
async fn a_new_commit_is_built_and_the_same_one_is_not_built_again() {
    let images = Images::new("commit");
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(dir.path());
    let first = repo.release("2026.9.6", "first");
    let env = from_repository(&images, &file_url(dir.path())).build().await;
    let admin = env.admin().await;

    built(&env, &admin, &json!({})).await;
    let rows = builds(&admin).await;
    let row = &rows[0];
    assert_eq!((rows.len(), &row["status"], &row["source"]), (1, &json!("ready"), &json!("git")));
    assert_eq!((&row["version"], &row["reference"]), (&json!("2026.9.6"), &json!("main")));
    assert!(row["revision"].as_str().unwrap().ends_with(&format!("@{first}")), "{row}");
    assert!(row["sizeBytes"].as_i64().is_some() && row["durationMs"].as_i64().is_some(), "{row}");
    assert_eq!((&row["progress"], &row["removedAt"]), (&json!(100), &json!(null)));
    let first_image = image_id(&images.target()).await;
    assert_eq!(row["imageId"], first_image.as_str());
    // The tag of the commit.
    assert_eq!(image_id(&format!("{}:git-{}", images.0, &first.to_string()[..12])).await, first_image);

    // The same commit is found and not built again.
    let again = built(&env, &admin, &json!({})).await;
    assert_eq!(builds(&admin).await.len(), 1);
    let story =
        env.rows(&format!("SELECT message FROM job_events WHERE job_id = '{}'", again["id"].as_str().unwrap())).await;
    assert!(story.iter().any(|entry| entry["message"].as_str().unwrap().contains("already there")), "{story:?}");

    // A new commit is built, and the tag moves to it.
    repo.release("2026.9.7", "second");
    built(&env, &admin, &json!({})).await;
    let rows = builds(&admin).await;
    assert_eq!((rows.len(), &rows[0]["version"]), (2, &json!("2026.9.7")));
    let second_image = image_id(&images.target()).await;
    assert_ne!(second_image, first_image);

    // The image of the first commit is found by its id and becomes current again.
    built(&env, &admin, &json!({ "source": "git", "reference": first.to_string() })).await;
    assert_eq!((builds(&admin).await.len(), image_id(&images.target()).await), (2, first_image.clone()));
    let latest = env
        .row("SELECT image_id FROM images WHERE status = 'ready' ORDER BY current_since DESC NULLS LAST LIMIT 1")
        .await;
    assert_eq!(latest["image_id"], first_image.as_str());

    // With `force`, the commit is built again.
    built(&env, &admin, &json!({ "source": "git", "reference": first.to_string(), "force": true })).await;
    assert_eq!(builds(&admin).await.len(), 3);
    env.finish().await;
}

#[tokio::test]
async fn a_worker_dies_in_the_middle_of_a_build_and_another_starts_over() {
    let images = Images::new("killed");
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(dir.path());
    let base = clawdeploy_tests::settings::base_image();
    let dockerfile = format!("FROM {base}\nRUN echo begun && sleep 5 && echo ended\n");
    repo.commit_files(&[("Dockerfile", &dockerfile)]);
    let env = from_repository(&images, &file_url(dir.path())).lease(4.0).build().await;
    let admin = env.admin().await;
    let id = ask(&admin, &json!({})).await;
    let begun = async || {
        let rows = builds(&admin).await;
        let log = admin.get(&format!("/api/admin/images/{}/log", rows.first()?["id"].as_str()?)).await.json;
        log["text"].as_str()?.contains("\nbegun\n").then_some(())
    };
    env.wait_for("the build to print something", SOON, begun).await;
    // Another request joins the running job.
    let joined = admin.post_empty("/api/admin/image/rebuild").await.expect(202).json;
    assert_eq!((&joined["joined"], &joined["job"]["id"]), (&json!(true), &json!(id)));
    env.worker(0).kill().await;
    env.add_worker(&clawdeploy_tests::WorkerOptions::default()).await;
    let done = wait_job_within(&env, &id, "succeeded", 2 * SOON).await;
    assert!(done["attempt"].as_i64().unwrap() > 1, "{done}");
    let rows = builds(&admin).await;
    assert_eq!((rows.len(), &rows[0]["status"]), (1, &json!("ready")));
    env.finish().await;
}

#[tokio::test]
async fn a_build_is_cancelled_or_takes_too_long() {
    let images = Images::new("cancel");
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(dir.path());
    let base = clawdeploy_tests::settings::base_image();
    repo.commit_files(&[("Dockerfile", &format!("FROM {base}\nRUN echo begun && sleep 120\n"))]);
    let env = from_repository(&images, &file_url(dir.path())).set("CLAWDEPLOY_BUILD_SECONDS", "8").build().await;
    let admin = env.admin().await;

    let id = ask(&admin, &json!({})).await;
    let begun = async || (job(&env, &id).await["progress"].as_i64()? > 0).then_some(());
    env.wait_for("the build to be under way", SOON, begun).await;
    admin.post_empty(&format!("/api/admin/jobs/{id}/cancel")).await.expect(202);
    wait_job(&env, &id, "cancelled").await;
    assert_eq!(builds(&admin).await[0]["status"], "cancelled");

    let message = super::support::refused(&env, &admin, &json!({}), "build_timed_out").await;
    assert!(message.contains("CLAWDEPLOY_BUILD_SECONDS"), "{message}");
    assert_eq!(builds(&admin).await[0]["status"], "failed");
    assert!(images.ids().await.is_empty());
    // The engine ends the build step and removes its container.
    let ended = async || docker::containers(&env.name).await.is_empty().then_some(());
    env.wait_for("the end of what the build ran", SOON, ended).await;
    env.finish().await;
}

#[tokio::test]
async fn a_build_needs_room() {
    let images = Images::new("room");
    let dir = tempfile::tempdir().unwrap();
    Repo::new(dir.path()).release("2026.9.6", "x");
    let env = from_repository(&images, &file_url(dir.path())).set("CLAWDEPLOY_MIN_DISK_MIB", "999999999").build().await;
    let admin = env.admin().await;
    let message = super::support::refused(&env, &admin, &json!({}), "disk_full").await;
    assert!(message.contains("MiB free, and a build needs 999999999 MiB"), "{message}");
    env.finish().await;
}
