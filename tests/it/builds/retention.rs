//! Fifty builds in a row: the last few images stay, and those that are used; whatever is not ours is left alone.

use std::time::Duration;

use clawdeploy_tests::docker;
use serde_json::json;

use super::support::{Images, Repo, builds, built, file_url, from_repository, image_id};

#[tokio::test]
async fn fifty_builds_leave_three_images() {
    let images = Images::new("fifty");
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(dir.path());
    let env = from_repository(&images, &file_url(dir.path())).set("CLAWDEPLOY_RECONCILE_SECONDS", "0.5").build().await;
    let admin = env.admin().await;
    // Somebody else's, one of them of the same repository of images, and one that is nothing but a layer.
    let foreign = foreign(&images).await;
    let mut used = String::new();
    for n in 0..50 {
        repo.release("2026.9.6", &format!("content {n}"));
        built(&env, &admin, &json!({})).await;
        if n == 4 {
            used = image_id(&images.target()).await;
            let name = format!("{}-user", env.name);
            docker::docker(&["create", "--name", &name, &used, "true"]).await;
        }
    }
    let latest: Vec<String> =
        builds(&admin).await[..3].iter().map(|build| build["imageId"].as_str().unwrap().to_owned()).collect();
    let label = format!("label=clawdeploy.deployment={}", env.name);
    let mine = async || {
        let listed = docker::docker(&["images", "--no-trunc", "--quiet", "--filter", &label]).await;
        let mut ids: Vec<String> = listed.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    let mut wanted = latest.clone();
    wanted.push(used.clone());
    wanted.sort();
    let bounded = async || (mine().await == wanted).then_some(());
    env.wait_for("old images to go", Duration::from_secs(20), bounded).await;
    for id in &foreign {
        assert!(docker::try_docker(&["image", "inspect", id]).await.is_ok(), "{id} is gone");
    }
    let removed = env.rows("SELECT id FROM images WHERE removed_at IS NOT NULL").await;
    assert_eq!(removed.len(), 46);

    // What failed builds leave behind goes as well.
    let base = clawdeploy_tests::settings::base_image();
    repo.commit_files(&[("Dockerfile", &format!("FROM {base}\nRUN echo one\nRUN exit 3\n"))]);
    let job = super::support::ask(&admin, &json!({})).await;
    let failed = async || (builds(&admin).await[0]["status"] == "failed").then_some(());
    env.wait_for("the build to fail", Duration::from_mins(1), failed).await;
    assert!(mine().await.len() > wanted.len(), "a failed build leaves no layer, or it is not ours");
    admin.post_empty(&format!("/api/admin/jobs/{job}/cancel")).await;
    env.wait_for("what is left of it to go", Duration::from_mins(1), bounded).await;

    docker::docker(&["rm", &format!("{}-user", env.name)]).await;
    wanted.retain(|id| *id != used);
    let bounded = async || (mine().await == wanted).then_some(());
    env.wait_for("the image that nobody uses any more to go", Duration::from_secs(20), bounded).await;
    env.finish().await;
    for id in foreign {
        docker::try_docker(&["image", "rm", "--force", &id]).await.ok();
    }
}

/// Images of nobody's: with a name beside ours, and without any.
async fn foreign(images: &Images) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let context = dir.path().display().to_string();
    tokio::fs::write(dir.path().join("x"), images.0.as_bytes()).await.unwrap();
    let mut ids = Vec::new();
    for (name, label) in [(Some("foreign"), "a"), (None, "b")] {
        let dockerfile = format!("FROM scratch\nCOPY x /\nLABEL x={label}\n");
        tokio::fs::write(dir.path().join("Dockerfile"), dockerfile).await.unwrap();
        let mut arguments = vec!["build", "--quiet", "--force-rm"];
        let tag = name.map(|name| format!("{}:{name}", images.0));
        if let Some(tag) = &tag {
            arguments.extend(["--tag", tag]);
        }
        arguments.push(&context);
        ids.push(docker::docker(&arguments).await.trim().to_owned());
    }
    ids
}
