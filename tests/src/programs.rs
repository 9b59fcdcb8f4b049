//! The programs under test, as files.

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
    /// The worker with its kill points.
    Worker,
    /// The worker as it is released, without them.
    PlainWorker,
    /// The stand-in gateway, linked statically.
    FakeGateway,
    /// The API of the release before; `scripts/test --compat` has built it.
    PreviousApi,
    /// The worker of the release before, with its kill points.
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

    /// Where [`build`] has put it, or `scripts/test --compat`.
    pub fn path(self) -> PathBuf {
        let dir = if matches!(self, Self::PreviousApi | Self::PreviousWorker) { settings::previous() } else { dir() };
        dir.join(self.file_name())
    }
}

/// Directory of the build profile, `target/debug`.
fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of this program");
    let dir = exe.parent().expect("a directory");
    if dir.ends_with("deps") { dir.parent().expect("a directory").to_owned() } else { dir.to_owned() }
}

/// Where the programs are kept. Beside cargo's own places: other builds put other variants there.
pub fn dir() -> PathBuf {
    profile_dir().join("clawdeploy-tests")
}

/// The repository's root.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Builds every program, as far as it is not there already.
pub fn build() -> anyhow::Result<()> {
    std::fs::create_dir_all(dir())?;
    cargo(&[])?;
    keep("clawdeploy-api", Program::Api)?;
    keep("clawdeploy-worker", Program::PlainWorker)?;
    cargo(&["--features", "clawdeploy-worker/failpoints"])?;
    keep("clawdeploy-worker", Program::Worker)?;
    fake_gateway()
}

/// Builds the API and the worker. Always both: with one alone, features of their dependencies would differ, and each of those be
/// compiled anew.
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

/// Keeps what cargo has just built. It replaces its files instead of writing into them, so a link stays what it is.
fn keep(built: &str, program: Program) -> anyhow::Result<()> {
    let (from, to) = (profile_dir().join(built), program.path());
    if to.exists() {
        std::fs::remove_file(&to)?;
    }
    std::fs::hard_link(&from, &to).with_context(|| format!("link {} to {}", from.display(), to.display()))
}

/// The stand-in runs in an image without a C library. It needs nothing but the standard library, so that the compiler
/// alone will do: through cargo, static linking would build every dependency of this package once more.
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
        // The same bytes from every checkout, so that they do not take turns at making the images anew.
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
