//! Images of the fake gateway, one for each mode.

use std::path::Path;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{docker, programs, programs::Program, settings};

/// Behavior of the fake gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FakeMode {
    /// Ready at once; `GET /crash` makes it exit with 1.
    Ok,
    /// Ready after three seconds.
    Slow,
    /// Exits with 1 at the start.
    Exit,
    /// Exits with 78, OpenClaw's exit code for an invalid configuration.
    Exit78,
    /// Listens but never becomes ready.
    Never,
    /// As [`Self::Ok`], with another version.
    Next,
    /// Changes the state that it finds, then exits with 1.
    Migrate,
    /// As [`Self::Ok`], in an image with a shell and the command `openclaw`, like the real image.
    Shell,
}

impl FakeMode {
    const ALL: [Self; 8] =
        [Self::Ok, Self::Slow, Self::Exit, Self::Exit78, Self::Never, Self::Next, Self::Migrate, Self::Shell];

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::Exit => "exit",
            Self::Exit78 => "exit78",
            Self::Never => "never",
            Self::Next => "next",
            Self::Migrate => "migrate",
            Self::Shell => "shell",
        }
    }

    fn delay_ms(self) -> u32 {
        if self == Self::Slow { 3000 } else { 50 }
    }

    /// Reference of the image. Each checkout has its own images, because its fake gateway may differ.
    pub fn image(self) -> String {
        let checkout = Sha256::digest(programs::workspace_root().as_os_str().as_encoded_bytes());
        format!("clawdeploy-fake-{}:{}", hex::encode(&checkout[..4]), self.name())
    }

    /// OpenClaw's version in the image's label.
    pub fn version(self) -> &'static str {
        if matches!(self, Self::Next | Self::Migrate) { "2026.9.7" } else { "2026.9.6" }
    }

    fn dockerfile(self, hash: &str) -> String {
        let (mode, delay, version) = (self.name(), self.delay_ms(), self.version());
        if self == Self::Shell {
            return format!(
                "FROM {}\nCOPY fake-gateway /usr/local/bin/node\nCOPY fake-gateway /usr/local/bin/openclaw\n\
                 ENV FAKE_MODE={mode} FAKE_DELAY_MS={delay}\nLABEL clawdeploy.openclaw.version=\"{version}\" clawdeploy.fake=\"{hash}\"\n",
                settings::base_image()
            );
        }
        format!(
            "FROM scratch\nCOPY fake-gateway /usr/local/bin/node\nCOPY fake-gateway /usr/local/bin/choom\nENV FAKE_MODE={mode} FAKE_DELAY_MS={delay}\n\
             LABEL clawdeploy.openclaw.version=\"{version}\" clawdeploy.fake=\"{hash}\"\n"
        )
    }
}

/// Builds the images that are missing or were built from another fake gateway.
pub async fn build_images() -> anyhow::Result<()> {
    let context = programs::dir();
    let binary = std::fs::read(Program::FakeGateway.path()).context("the stand-in gateway")?;
    for mode in FakeMode::ALL {
        let hash = hex::encode(Sha256::digest([binary.as_slice(), mode.dockerfile("").as_bytes()].concat()));
        let format = "{{.Id}} {{index .Config.Labels \"clawdeploy.fake\"}}";
        let found = docker::try_docker(&["image", "inspect", &mode.image(), "--format", format]).await;
        let (old, label) = found.as_deref().ok().and_then(|found| found.trim().split_once(' ')).unwrap_or_default();
        if label == hash {
            continue;
        }
        build(mode, &context, &hash).await.with_context(|| mode.image())?;
        if !old.is_empty() {
            // Fails while a container uses it; then it stays.
            docker::try_docker(&["image", "rm", old]).await.ok();
        }
    }
    Ok(())
}

async fn build(mode: FakeMode, programs: &Path, hash: &str) -> anyhow::Result<()> {
    let context = tempfile::tempdir()?;
    std::fs::copy(programs.join("fake-gateway"), context.path().join("fake-gateway"))?;
    tokio::fs::write(context.path().join("Dockerfile"), mode.dockerfile(hash)).await?;
    let dir = context.path().display().to_string();
    docker::try_docker(&["build", "--quiet", "--force-rm", "--tag", &mode.image(), &dir]).await?;
    Ok(())
}
