//! The programs under test.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::settings;

/// A program that tests start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Api,
    /// The worker with kill points.
    Worker,
    /// The worker as released, without kill points.
    PlainWorker,
    /// The fake gateway, linked statically.
    FakeGateway,
    /// The API of the previous release, built by `scripts/test --compat`.
    PreviousApi,
    /// The worker of the previous release, with kill points.
    PreviousWorker,
}

impl Program {
    fn file_name(self) -> &'static str {
        match self {
            Self::Api | Self::PreviousApi => "clawdeploy-api",
            Self::Worker => "clawdeploy-worker-failpoints",
            Self::PlainWorker | Self::PreviousWorker => "clawdeploy-worker",
            Self::FakeGateway => "fake-gateway",
        }
    }

    /// Where [`build_released`] or [`build_others`] has put it, or `scripts/test --compat`.
    pub fn path(self) -> PathBuf {
        let dir = if matches!(self, Self::PreviousApi | Self::PreviousWorker) { settings::previous() } else { dir() };
        dir.join(self.file_name())
    }
}

/// Directory of the build profile, such as `target/debug`.
fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of this program");
    let dir = exe.parent().expect("a directory");
    if dir.ends_with("deps") { dir.parent().expect("a directory").to_owned() } else { dir.to_owned() }
}

/// Directory of the programs. Not cargo's own, because other builds replace the files there.
pub fn dir() -> PathBuf {
    profile_dir().join("clawdeploy-tests")
}

/// Root of the repository.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Builds the programs as they are released, as far as they are not there already.
pub fn build_released() -> anyhow::Result<()> {
    std::fs::create_dir_all(dir())?;
    cargo(&[])?;
    keep("clawdeploy-api", Program::Api)?;
    keep("clawdeploy-worker", Program::PlainWorker)
}

/// Builds what only tests have: the worker with its kill points, and the stand-in gateway.
pub fn build_others() -> anyhow::Result<()> {
    cargo(&["--features", "clawdeploy-worker/failpoints"])?;
    keep("clawdeploy-worker", Program::Worker)?;
    fake_gateway()
}

/// Builds the API and the worker. Always both: for one alone, features of dependencies would differ, and cargo would
/// compile those again.
fn cargo(features: &[&str]) -> anyhow::Result<()> {
    let profile_dir = profile_dir();
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target = profile_dir.parent().context("the target directory")?;
    let program = settings::variable("CARGO").unwrap_or_else(|| env!("CARGO").to_owned());
    let status = Command::new(program)
        .args(["build", "--quiet", "--package", "clawdeploy-api", "--package", "clawdeploy-worker", "--bins"])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .args(features)
        .current_dir(workspace_root())
        .status()
        .context("cargo could not be started")?;
    ensure!(status.success(), "cargo build {} failed", features.join(" "));
    Ok(())
}

/// Links what cargo has just built. Cargo replaces its files instead of writing to them, so the linked file does not
/// change.
fn keep(built: &str, program: Program) -> anyhow::Result<()> {
    let (from, to) = (profile_dir().join(built), program.path());
    if to.exists() {
        std::fs::remove_file(&to)?;
    }
    std::fs::hard_link(&from, &to).with_context(|| format!("link {} to {}", from.display(), to.display()))
}

/// Builds the fake gateway with rustc alone. It needs only the standard library, but its image has no C library; with
/// cargo, static linking would build all dependencies of this package a second time.
fn fake_gateway() -> anyhow::Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/fake_gateway.rs");
    let program = Program::FakeGateway.path();
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if modified(&program).is_some_and(|built| Some(built) > modified(&source)) {
        return Ok(());
    }
    let rustc = settings::variable("RUSTC").unwrap_or_else(|| "rustc".to_owned());
    let status = Command::new(rustc)
        .args(["--edition", "2024", "-C", "opt-level=s", "-C", "strip=symbols", "-C", "target-feature=+crt-static"])
        // Makes builds of all checkouts identical, so that they do not replace each other's images.
        .arg(format!("--remap-path-prefix={}=.", workspace_root().display()))
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .current_dir(workspace_root())
        .status()
        .context("rustc could not be started")?;
    ensure!(status.success(), "the stand-in gateway does not compile");
    Ok(())
}
