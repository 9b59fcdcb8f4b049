//! Retention: the newest images and those in use stay, and foreign images are never removed.

use std::time::Duration;

use clawdeploy_tests::{Client, TestEnv, docker};
use serde_json::{Value, json};

use super::support::{Images, Repo, builds, built, file_url, from_repository, image_id};

/// Number of builds, and number of images that are kept without being in use.
const BUILDS: usize = 8;
const KEPT: usize = 3;

/// The engine may take long to remove images.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test]
async fn many_builds_leave_three_images() {
    let images = Images::new("many");
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(dir.path());
    let env = from_repository(&images, &file_url(dir.path())).set("CLAWDEPLOY_RECONCILE_SECONDS", "0.5").build().await;
    let admin = env.admin().await;
    // Foreign images: one in the same repository of images, one untagged.
    let foreign = foreign(&images).await;
    let (mut used, mut restorable) = (String::new(), String::new());
    for n in 0..BUILDS {
        repo.release("2026.9.6", &format!("content {n}"));
        built(&env, &admin, &json!({})).await;
        if n == 1 {
            used = image_id(&images.target()).await;
            let name = format!("{}-user", env.name);
            docker::docker(&["create", "--name", &name, &used, "true"]).await;
        }
        if n == 2 {
            restorable = image_id(&images.target()).await;
            keep_deleted(&env, &restorable).await;
        }
    }
    let latest: Vec<String> =
        builds(&admin).await[..KEPT].iter().map(|build| build["imageId"].as_str().unwrap().to_owned()).collect();
    let mine = async || labelled(&env).await;
    let mut wanted = latest.clone();
    wanted.extend([used.clone(), restorable.clone()]);
    wanted.sort();
    let bounded = async || (mine().await == wanted).then_some(());
    env.wait_for("old images to go", PATIENCE, bounded).await;
    for id in &foreign {
        assert!(docker::try_docker(&["image", "inspect", id]).await.is_ok(), "{id} is gone");
    }
    let removed = "SELECT id FROM images WHERE removed_at IS NOT NULL";
    let noted = async || (env.rows(removed).await.len() == BUILDS - KEPT - 2).then_some(());
    env.wait_for("that to be written down", PATIENCE, noted).await;

    // Leftovers of failed builds are removed too.
    let base = clawdeploy_tests::settings::base_image();
    repo.commit_files(&[("Dockerfile", &format!("FROM {base}\nRUN echo one\nRUN exit 3\n"))]);
    let job = super::support::ask(&admin, &json!({})).await;
    let failed = async || (builds(&admin).await[0]["status"] == "failed").then_some(());
    env.wait_for("the build to fail", PATIENCE, failed).await;
    assert!(mine().await.len() > wanted.len(), "a failed build leaves no layer, or it is not ours");
    admin.post_empty(&format!("/api/admin/jobs/{job}/cancel")).await;
    env.wait_for("what is left of it to go", PATIENCE, bounded).await;

    docker::docker(&["rm", &format!("{}-user", env.name)]).await;
    wanted.retain(|id| *id != used);
    let bounded = async || (mine().await == wanted).then_some(());
    env.wait_for("the image that nobody uses any more to go", PATIENCE, bounded).await;
    env.execute("UPDATE recoverable_instances SET expires_at = now() - interval '1 second'").await;
    wanted.retain(|id| *id != restorable);
    let bounded = async || (mine().await == wanted).then_some(());
    env.wait_for("the image of what cannot be restored any more to go", PATIENCE, bounded).await;
    env.finish().await;
    remove(&foreign).await;
}

/// Images that others commit from our containers or build on our images inherit our label but are foreign.
#[tokio::test]
async fn what_others_make_of_our_images_stays() {
    let images = Images::new("inherited");
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(dir.path());
    let env = from_repository(&images, &file_url(dir.path())).set("CLAWDEPLOY_RECONCILE_SECONDS", "600").build().await;
    let admin = env.admin().await;
    repo.release("2026.9.6", "content");
    built(&env, &admin, &json!({})).await;
    let ours = image_id(&images.target()).await;
    let container = format!("{}-user", env.name);
    docker::docker(&["create", "--name", &container, &ours, "true"]).await;
    let context = tempfile::tempdir().unwrap();
    let dockerfile = format!("FROM {}\nCOPY x /\n", images.target());
    tokio::fs::write(context.path().join("Dockerfile"), dockerfile).await.unwrap();
    let context = context.path().display().to_string();
    let (named, built_on) = (format!("{}:committed", images.0), format!("{}:built", images.0));
    let mut theirs = Vec::new();
    for (x, command) in [
        ("1", vec!["commit", &container]),
        ("2", vec!["commit", "--message", "named", &container, &named]),
        ("3", vec!["build", "--quiet", &context]),
        ("4", vec!["build", "--quiet", "--tag", &built_on, &context]),
    ] {
        tokio::fs::write(format!("{context}/x"), x).await.unwrap();
        theirs.push(docker::docker(&command).await.trim().to_owned());
    }
    docker::docker(&["rm", &container]).await;
    let there = labelled(&env).await;
    assert!(theirs.iter().all(|id| there.contains(id)), "the label is not inherited: {there:?} {theirs:?}");
    // An image may be spared the first time that it is seen.
    for _ in 0..2 {
        pass(&admin).await;
    }
    let there = labelled(&env).await;
    let gone: Vec<_> = theirs.iter().filter(|id| !there.contains(id)).collect();
    assert_eq!(gone, Vec::<&String>::new());
    env.finish().await;
    remove(&theirs).await;
}

/// Runs one pass of the reconciler.
async fn pass(admin: &Client) {
    let sweeps = admin.post_empty("/api/admin/reconcile").await.expect(200).json;
    let sweep = sweeps["items"].as_array().unwrap().iter().find(|run| run["name"] == "images").unwrap();
    assert_eq!(sweep["error"], Value::Null, "{sweep}");
}

/// Ids of the images with our label.
async fn labelled(env: &TestEnv) -> Vec<String> {
    let label = format!("label=clawdeploy.deployment={}", env.name);
    let listed = docker::docker(&["images", "--no-trunc", "--quiet", "--filter", &label]).await;
    let mut ids: Vec<String> = listed.lines().map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// A recoverable instance that used this image, with its files.
async fn keep_deleted(env: &TestEnv, image: &str) {
    const ID: &str = "deleted00000";
    tokio::fs::create_dir_all(env.data_dir.join(".quarantine").join(ID).join("files")).await.unwrap();
    env.execute(&format!(
        "INSERT INTO recoverable_instances (id, state, reason, manifest, expires_at) \
         VALUES ('{ID}', 'deleted', 'x', '{{ \"imageId\": \"{image}\" }}', now() + interval '1 hour')"
    ))
    .await;
}

async fn remove(ids: &[String]) {
    for id in ids {
        docker::try_docker(&["image", "rm", "--force", id]).await.ok();
    }
}

/// Foreign images: one with a name in our repository of images, and one untagged.
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
