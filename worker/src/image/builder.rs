//! A build from resolving its source to setting the tags.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clawdeploy_shared::openclaw::reference::ImageReference;
use rustix::fs::statvfs;
use tokio::sync::mpsc;

use super::{
    error::BuildError,
    git::blocking,
    output::{BuildUpdate, Output},
    source::{BuildLimits, Resolved, Source},
};
use crate::runtime::docker::Docker;

/// Time limit for checking the disk space.
const DISK_LIMIT: Duration = Duration::from_secs(10);

/// A finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    pub image_id: String,
    pub size_bytes: i64,
    /// Version of OpenClaw in it, if it says so.
    pub version: Option<String>,
}

/// One build of a source.
///
/// It touches no tag before it has succeeded: if it fails or is dropped, the image in use stays the same.
#[derive(Debug)]
pub struct ImageBuilder<'a> {
    docker: &'a Docker,
    source: &'a Source,
    /// Tag for new instances.
    target: &'a ImageReference,
    output: Output,
}

impl<'a> ImageBuilder<'a> {
    /// `updates` are sent as the engine reports them. They are dropped if nobody receives them, but a slow receiver
    /// slows the build.
    pub fn new(
        docker: &'a Docker,
        source: &'a Source,
        target: &'a ImageReference,
        updates: mpsc::Sender<BuildUpdate>,
    ) -> Self {
        Self { docker, source, target, output: Output::new(updates, source.secrets()) }
    }

    /// What it would build now.
    pub async fn resolve(&mut self) -> Result<Resolved, BuildError> {
        self.source.resolve(self.docker, &mut self.output).await
    }

    /// Fails unless the disks of the engine and of the data directory, as far as they are here, have this much free space.
    pub async fn check_room(&self, data_dir: &Path, floor_mib: u64) -> Result<(), BuildError> {
        let mut paths = vec![data_dir.to_owned()];
        paths.extend(self.docker.root_dir().await?.map(PathBuf::from));
        let looked = blocking(move || {
            // If the engine runs in another mount namespace, its directory is not visible here. Without an installation
            // there is no data directory.
            for path in paths.into_iter().filter(|path| path.is_dir()) {
                let stat = statvfs(&path).map_err(std::io::Error::from)?;
                let free_mib = (stat.f_bavail.saturating_mul(stat.f_frsize)) >> 20;
                if free_mib < floor_mib {
                    return Err(BuildError::NoRoom { path: path.display().to_string(), free_mib, floor_mib });
                }
            }
            Ok(())
        });
        tokio::time::timeout(DISK_LIMIT, looked).await.unwrap_or(Err(BuildError::TimedOut(DISK_LIMIT)))
    }

    /// Builds. Dropping the future closes the request, and the engine stops the current step.
    pub async fn produce(&mut self, resolved: &Resolved, limits: &BuildLimits) -> Result<BuiltImage, BuildError> {
        let image_id = self.source.produce(self.docker, resolved, limits, &mut self.output).await?;
        let image = self.docker.inspect_image(&image_id).await?.ok_or(BuildError::NoImage)?;
        let version = self.docker.image_version(&image_id).await?;
        let image_id = image.id.unwrap_or(image_id);
        Ok(BuiltImage { image_id, size_bytes: image.size.unwrap_or_default(), version })
    }

    /// The tags of an image with this content: its own, and the one for new instances.
    pub fn tags(&self, resolved: &Resolved) -> [String; 2] {
        let repository = self.target.repository();
        [&resolved.tag, self.target.tag()].map(|tag| format!("{repository}:{tag}"))
    }

    /// Makes an image the one for new instances.
    pub async fn make_current(&self, image_id: &str, resolved: &Resolved) -> Result<(), BuildError> {
        // Its own tag first: whoever sees the other tag move then finds this one too.
        let repository = self.target.repository();
        self.docker.tag_image(image_id, repository, &resolved.tag).await?;
        Ok(self.docker.tag_image(image_id, repository, self.target.tag()).await?)
    }
}
