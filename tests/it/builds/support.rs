//! A repository that tests write to, and images that are removed with the test.

use std::path::Path;

use clawdeploy_tests::{Builder, Client, Image, TestEnv, cleanup, docker};
use git2::{ObjectType, Oid, Repository};
use serde_json::{Value, json};

use crate::support::{SOON, wait_job_within};

/// A bare local repository. Trees are written as raw objects, because git refuses the hostile ones.
pub(crate) struct Repo {
    git: Repository,
}

/// Mode, name and object of an entry of a tree.
pub(crate) type Entry<'a> = (&'a str, &'a str, Oid);

impl Repo {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { git: Repository::init_bare(dir).unwrap() }
    }

    pub(crate) fn blob(&self, text: &[u8]) -> Oid {
        self.git.odb().unwrap().write(ObjectType::Blob, text).unwrap()
    }

    pub(crate) fn tree(&self, entries: &[Entry<'_>]) -> Oid {
        let mut raw = Vec::new();
        for (mode, name, id) in entries {
            raw.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            raw.extend_from_slice(id.as_bytes());
        }
        self.git.odb().unwrap().write(ObjectType::Tree, &raw).unwrap()
    }

    /// Commits a tree to the branch `main`.
    pub(crate) fn commit(&self, tree: Oid) -> Oid {
        let odb = self.git.odb().unwrap();
        let raw = format!("tree {tree}\nauthor a <a@example.org> 0 +0000\ncommitter a <a@example.org> 0 +0000\n\nx\n");
        let commit = odb.write(ObjectType::Commit, raw.as_bytes()).unwrap();
        self.git.reference("refs/heads/main", commit, true, "test").unwrap();
        commit
    }

    /// Commits files to the branch `main`.
    pub(crate) fn commit_files(&self, files: &[(&str, &str)]) -> Oid {
        let mut entries: Vec<_> =
            files.iter().map(|(name, text)| ("100644", *name, self.blob(text.as_bytes()))).collect();
        entries.sort_by_key(|(_, name, _)| *name);
        self.commit(self.tree(&entries))
    }

    /// Commits a Dockerfile that can be built, with a version.
    pub(crate) fn release(&self, version: &str, content: &str) -> Oid {
        let package = json!({ "version": version }).to_string();
        self.commit_files(&[
            ("Dockerfile", "FROM scratch\nCOPY content /\n"),
            ("content", content),
            ("package.json", &package),
        ])
    }
}

/// Images with a name of this test. They are removed with it.
pub(crate) struct Images(pub(crate) String);

impl Images {
    pub(crate) fn new(test: &str) -> Self {
        Self(format!("clawdeploy-test-{test}-{}", std::process::id()))
    }

    pub(crate) fn target(&self) -> String {
        format!("{}:local", self.0)
    }

    /// Ids of all these images.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let listed = docker::docker(&["images", "--no-trunc", "--format", "{{.ID}}", &self.0]).await;
        let mut ids: Vec<_> = listed.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        let repository = self.0.clone();
        cleanup::block_on(async move {
            let listed = docker::try_docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", &repository]).await;
            for image in listed.unwrap_or_default().lines() {
                docker::try_docker(&["image", "rm", image]).await.ok();
            }
        });
    }
}

/// An installation that builds from a repository.
pub(crate) fn from_repository(images: &Images, url: &str) -> Builder {
    TestEnv::builder()
        .image(Image::Named(images.target()))
        .set("CLAWDEPLOY_IMAGE_SOURCE", "git")
        .set("CLAWDEPLOY_OPENCLAW_REPOSITORY", url)
        .set("CLAWDEPLOY_SOURCE_ALLOW_PRIVATE", "true")
        .set("CLAWDEPLOY_MIN_DISK_MIB", "100")
}

pub(crate) fn file_url(dir: &Path) -> String {
    format!("file://{}", dir.display())
}

/// Requests a build and returns the id of its job.
pub(crate) async fn ask(admin: &Client, form: &Value) -> String {
    let answer = admin.post("/api/admin/image/rebuild", form).await.expect(202).json;
    answer["job"]["id"].as_str().unwrap().to_owned()
}

/// Makes a build that must succeed and returns its job.
pub(crate) async fn built(env: &TestEnv, admin: &Client, form: &Value) -> Value {
    let job = ask(admin, form).await;
    wait_job_within(env, &job, "succeeded", 2 * SOON).await
}

/// Makes a build that must fail with this code and returns the message.
pub(crate) async fn refused(env: &TestEnv, admin: &Client, form: &Value, code: &str) -> String {
    let job = ask(admin, form).await;
    let job = wait_job_within(env, &job, "failed", 2 * SOON).await;
    let message = job["error_message"].as_str().unwrap().to_owned();
    assert_eq!(job["error_code"], code, "{message}");
    message
}

/// The builds, newest first.
pub(crate) async fn builds(admin: &Client) -> Vec<Value> {
    admin.get("/api/admin/images").await.expect(200).json["items"].as_array().unwrap().clone()
}

/// Id of the image that a tag refers to.
pub(crate) async fn image_id(reference: &str) -> String {
    docker::docker(&["image", "inspect", "--format", "{{.Id}}", reference]).await.trim().to_owned()
}
