//! The pages of administrators.

use std::time::Duration;

use clawdeploy_tests::{Client, FakeMode, TestEnv, WorkerOptions};
use serde_json::json;
use tempfile::TempDir;

use super::{EMAIL, walk};
use crate::{
    builds::support::{Images, Repo, built, file_url, from_repository},
    support::{administrator, wait_job},
};

/// A name of the maximum length.
const LONG_NAME: &str = "Customer support for the northern region, second try of March";
/// A name without a place to break the line.
const UNBROKEN_NAME: &str = "Kundenbetreuungsautomatisierungsplattform_Nord_und_Sued";
const LONG_PERSON: &str = "bartholomew.featherstonehaugh-cholmondeley.northern";

/// A build of twelve seconds that shows its progress.
const LONG_BUILD: &str = "RUN for step in $(seq 12); do echo Step $step of the build; sleep 1; done\n";

/// An installation with a history: the first version of the image does not start, the second does, and a third can be
/// built.
struct Site {
    env: TestEnv,
    repo: Repo,
    _images: Images,
    _dir: TempDir,
}

impl Site {
    async fn new() -> Self {
        let (images, dir) = (Images::new("admin"), tempfile::tempdir().unwrap());
        let repo = Repo::new(dir.path());
        let env = from_repository(&images, &file_url(dir.path())).workers(3).build().await;
        // One of three workers dies after it was registered.
        let known = async || (env.row("SELECT count(*) AS known FROM workers").await["known"] == 3).then_some(());
        env.wait_for("all workers", Duration::from_secs(20), known).await;
        env.worker(2).kill().await;
        administrator(&env, EMAIL).await;
        Self { env, repo, _images: images, _dir: dir }
    }

    /// Commits a version of OpenClaw that behaves like this fake gateway; its build runs `run`.
    fn release(&self, version: &str, like: FakeMode, run: &str) {
        let dockerfile = format!("FROM {}\n{run}COPY package.json /\n", like.image());
        let package = json!({ "version": version }).to_string();
        self.repo.commit_files(&[("Dockerfile", &dockerfile), ("package.json", &package)]);
    }

    async fn build(&self, admin: &Client) {
        built(&self.env, admin, &json!({})).await;
    }

    /// The history: an hour of jobs, users with instances, a failed creation, a wrong password.
    async fn was_used(&self) {
        let env = &self.env;
        let (ann, bob, long) = (env.user("ann").await, env.user("bob").await, env.user(LONG_PERSON).await);
        let admin = env.admin().await;
        env.execute(include_str!("admin/history.sql")).await;
        self.release("2026.9.5", FakeMode::Exit, "");
        self.build(&admin).await;
        let failed = bob.create(LONG_NAME).await;
        wait_job(env, &failed.job, "failed").await;
        self.release("2026.9.6", FakeMode::Ok, "");
        self.build(&admin).await;
        let mut made = Vec::new();
        for (client, name) in [(&ann, "Bookkeeping"), (&ann, "Family"), (&bob, "Research"), (&long, UNBROKEN_NAME)] {
            made.push(client.create(name).await);
        }
        for accepted in &made {
            wait_job(env, &accepted.job, "succeeded").await;
        }
        let stopped = ann.act(&made[1].instance, "stop").await;
        wait_job(env, &stopped.job, "succeeded").await;
        let wrong = json!({ "email": "=eve@test.example", "password": "canary wrong one" });
        env.anon().post("/api/auth/login", &wrong).await.expect(401);
        self.release("2026.9.7", FakeMode::Shell, LONG_BUILD);
    }
}

#[tokio::test]
async fn every_page_of_the_administration() {
    let site = Site::new().await;
    site.was_used().await;
    let env = &site.env;
    let data = env.data_dir.display().to_string();
    walk(env, "admin.mjs", &env.base, &[], &[("CLAWDEPLOY_TEST_DATA", &data)]).await;
    // The walk has drained all workers.
    env.add_worker(&WorkerOptions::default()).await;
    site.env.finish().await;
}
