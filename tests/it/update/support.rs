//! Shared helpers of the tests of updates.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, fchown, symlink},
    path::Path,
    sync::Arc,
};

use clawdeploy_tests::{FakeMode, TestEnv, WorkerOptions, client::Accepted, docker, process::Process};
use serde_json::{Value, json};

use crate::support::{http, instance, port, wait_job};

/// A worker with this image as the current one.
pub(crate) fn on(image: FakeMode) -> WorkerOptions {
    WorkerOptions::default().set("CLAWDEPLOY_IMAGE", &image.image())
}

/// As [`on`], with these kill points.
pub(crate) fn failing_on(image: FakeMode, points: &str) -> WorkerOptions {
    WorkerOptions::failpoints(points).set("CLAWDEPLOY_IMAGE", &image.image())
}

/// Replaces the workers by one with another current image.
pub(crate) async fn with_newer(env: &TestEnv, image: FakeMode) -> Arc<Process> {
    retire(env).await;
    env.add_worker(&on(image)).await
}

/// Kills all workers.
pub(crate) async fn retire(env: &TestEnv) {
    for worker in env.workers() {
        worker.kill().await;
    }
}

/// Writes state of the kinds that OpenClaw keeps.
pub(crate) fn write_state(env: &TestEnv, id: &str) {
    let config = env.data_dir.join(id).join("config");
    let state = config.join("state");
    std::fs::create_dir_all(&state).unwrap();
    fchown(File::open(&state).unwrap(), Some(1000), Some(1000)).unwrap();
    for (name, text) in [("db", "of this version"), ("old", "read by this version only")] {
        let mut file = File::create(state.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        fchown(file, Some(1000), Some(1000)).unwrap();
    }
    symlink("db", state.join("current")).unwrap();
}

/// The instance's config directory, without the fake gateway's log: path, mode, owner and content.
pub(crate) fn tree(env: &TestEnv, id: &str) -> BTreeMap<String, String> {
    let root = env.data_dir.join(id).join("config");
    let mut tree = BTreeMap::new();
    walk(&root, &root, &mut tree);
    tree.remove("starts.log");
    tree
}

fn walk(root: &Path, dir: &Path, tree: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_symlink() {
            std::fs::read_link(&path).unwrap().display().to_string()
        } else if meta.is_file() {
            String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()
        } else {
            String::new()
        };
        let name = path.strip_prefix(root).unwrap().display().to_string();
        tree.insert(name, format!("{:o} {} {content}", meta.mode(), meta.uid()));
        if meta.is_dir() {
            walk(root, &path, tree);
        }
    }
}

/// State of an instance, for comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Before {
    pub(crate) row: Value,
    pub(crate) port: u16,
    pub(crate) tree: BTreeMap<String, String>,
}

pub(crate) async fn look(env: &TestEnv, id: &str) -> Before {
    Before { row: instance(env, id).await, port: port(env, id).await, tree: tree(env, id) }
}

/// Requests an update to the current image.
pub(crate) async fn update(env: &TestEnv, id: &str) -> Accepted {
    let path = format!("/api/instances/{id}/update");
    env.user("ann").await.post(&path, &json!({ "rebuild": false })).await.accepted()
}

/// Runs an update that must succeed; returns the job.
pub(crate) async fn updated(env: &TestEnv, id: &str) -> Value {
    let asked = update(env, id).await;
    wait_job(env, &asked.job, "succeeded").await
}

/// Id of a fake gateway's image.
pub(crate) async fn image_id(image: FakeMode) -> String {
    docker::docker(&["image", "inspect", "--format", "{{.Id}}", &image.image()]).await.trim().to_owned()
}

/// Checks that everything is as before and that the gateway answers.
pub(crate) async fn assert_as_before(env: &TestEnv, id: &str, before: &Before) {
    let row = instance(env, id).await;
    for same in ["image_id", "openclaw_version", "memory_mb", "cpu_millis", "status", "gateway_token_sealed"] {
        assert_eq!(row[same], before.row[same], "{same} of {id}");
    }
    assert_eq!(port(env, id).await, before.port);
    assert_eq!(tree(env, id), before.tree, "files of {id}");
    let world = env.world().await;
    let containers = world.containers_of(id);
    assert_eq!(containers.len(), 1, "{containers:?}");
    assert_eq!(row["container_id"], containers[0].id);
    let image = docker::inspect(&containers[0].id, "{{.Image}}").await;
    assert_eq!(image.trim(), before.row["image_id"].as_str().unwrap(), "image of the container");
    if before.row["status"] == "running" {
        assert_eq!(containers[0].state, "running");
        assert_eq!(http(before.port, "/readyz").await.map(|(status, _)| status), Some(200));
    }
    assert_eq!(snapshots_on_disk(env, id), Vec::<String>::new(), "snapshots that were not removed");
}

/// Snapshots of an instance on the disk.
pub(crate) fn snapshots_on_disk(env: &TestEnv, id: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(env.data_dir.join(".snapshots").join(id)) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
