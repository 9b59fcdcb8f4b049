//! `clawdeploy-worker build-image`: the same builds with nothing but the engine, no Postgres and no Redis.

use std::{
    path::PathBuf,
    process::{Output, Stdio},
};

use clawdeploy_tests::{programs::Program, settings};
use tokio::process::Command;

use super::support::{Images, Repo, file_url, image_id};
use crate::support::SOON;

/// A repository and the command that builds it.
struct Site {
    images: Images,
    repo: Repo,
    dir: tempfile::TempDir,
}

impl Site {
    fn new(test: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        Self { images: Images::new(test), repo: Repo::new(&dir.path().join("repository")), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the command to its end, with these settings and no others.
    async fn build(&self, arguments: &[&str], changes: &[(&str, &str)]) -> Output {
        let target = self.images.target();
        let mut command = Command::new(Program::PlainWorker.path());
        command.args(["build-image", "--tag", &target]).args(arguments).env_clear();
        command.envs([
            ("CLAWDEPLOY_DOCKER_HOST", settings::docker_host()),
            ("CLAWDEPLOY_DEPLOYMENT", self.images.0.clone()),
            ("CLAWDEPLOY_DATA_DIR", self.path("data").display().to_string()),
            ("CLAWDEPLOY_OPENCLAW_REPOSITORY", file_url(&self.path("repository"))),
            ("CLAWDEPLOY_SOURCE_ALLOW_PRIVATE", "true".to_owned()),
            ("CLAWDEPLOY_MIN_DISK_MIB", "100".to_owned()),
        ]);
        command.envs(changes.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
        tokio::time::timeout(4 * SOON, command.output()).await.expect("its end").unwrap()
    }

    /// Builds, which must succeed; returns what was printed.
    async fn built(&self, arguments: &[&str]) -> Vec<String> {
        let ended = self.build(arguments, &[]).await;
        assert!(ended.status.success(), "{}", text(&ended.stderr));
        text(&ended.stdout).lines().map(str::to_owned).collect()
    }

    /// Fails to build; returns what was said.
    async fn refused(&self, arguments: &[&str], changes: &[(&str, &str)]) -> String {
        let ended = self.build(arguments, changes).await;
        assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stdout));
        text(&ended.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[tokio::test]
async fn it_builds_shows_the_output_and_sets_the_tags_last() {
    let site = Site::new("by-hand");
    let (images, target) = (&site.images, site.images.target());
    let commit = site.repo.release("2026.9.6", "first").to_string();
    let own_tag = format!("{}:git-{}", images.0, &commit[..12]);
    let said = site.built(&[]).await;
    assert!(said.iter().any(|line| line.starts_with("Step 2/")), "{said:?}");
    let last = format!("Image {target} (also {own_tag}) is ready: OpenClaw 2026.9.6, 0 MB");
    assert_eq!(said.last(), Some(&last));
    let first = image_id(&target).await;
    assert_eq!(image_id(&own_tag).await, first);

    // What is there is enough, whatever the repository holds by now.
    site.repo.release("2026.9.7", "second");
    let said = site.built(&["--if-missing"]).await;
    assert_eq!(said, [format!("Image {target} is already there: OpenClaw 2026.9.6, 0 MB")]);
    assert_eq!(image_id(&target).await, first);
    let said = site.built(&[]).await;
    assert!(said.last().is_some_and(|last| last.ends_with("OpenClaw 2026.9.7, 0 MB")), "{said:?}");
    let second = image_id(&target).await;
    assert_ne!(second, first);

    // A build that fails says where and why, and leaves the tag alone.
    let dockerfile = format!("FROM {}\nRUN echo the last words && exit 7\n", settings::base_image());
    site.repo.commit_files(&[("Dockerfile", &dockerfile)]);
    let said = site.refused(&[], &[]).await;
    for needle in
        ["failed at step ", "exited with code 7", "last lines of the build:\n", "the last words\n", "run this again"]
    {
        assert!(said.contains(needle), "{needle:?}: {said}");
    }
    assert_eq!(image_id(&target).await, second);
}

/// Arguments, settings, and what is said.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);

#[tokio::test]
async fn what_it_cannot_build_it_says_before_it_begins() {
    let site = Site::new("by-hand-refused");
    site.repo.release("2026.9.6", "x");
    let missing = site.path("missing").display().to_string();
    let cases: [Case<'_>; 6] = [
        (&["--source", "registry"], &[], &["CLAWDEPLOY_OPENCLAW_REGISTRY_IMAGE"]),
        (&[], &[("CLAWDEPLOY_DOCKER_HOST", &missing)], &["no Docker engine answers", "--docker-host"]),
        (&[], &[("CLAWDEPLOY_DATA_DIR", &missing)], &["is not a directory", "--data-dir"]),
        (&[], &[("CLAWDEPLOY_MIN_DISK_MIB", "999999999")], &["a build needs 999999999 MiB", "free some space"]),
        (&[], &[("CLAWDEPLOY_OPENCLAW_REF", "missing")], &["no missing at file://", "CLAWDEPLOY_OPENCLAW_REF"]),
        (&[], &[("CLAWDEPLOY_SOURCE_ALLOW_PRIVATE", "false")], &["CLAWDEPLOY_SOURCE_ALLOW_PRIVATE"]),
    ];
    for (arguments, changes, needles) in cases {
        let said = site.refused(arguments, changes).await;
        for needle in needles {
            assert!(said.contains(needle), "{needle:?}: {said}");
        }
    }
    assert!(site.images.ids().await.is_empty());
}
