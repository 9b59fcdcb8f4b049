//! What to build: the settings, and what somebody asks for instead in one build.

use std::path::PathBuf;

use clawdeploy_shared::{
    db::image::ImageSource,
    openclaw::{
        git_ref::{GitRef, InvalidRef},
        reference::{ImageReference, InvalidReference},
        version::{InvalidVersion, OpenclawVersion},
    },
};
use serde::Deserialize;

use super::{
    git::GitSource,
    source::{BuildLimits, RegistrySource, ReleaseSource, Source},
};
use crate::config::BuildArgs;

/// What replaces settings in one build; a job's payload. What is missing comes from the settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BuildRequest {
    pub source: Option<ImageSource>,
    /// With `release`.
    pub version: Option<String>,
    /// With `git` and `registry`.
    pub reference: Option<String>,
    /// Build even if the same content already exists, without cached steps.
    pub force: bool,
}

/// The settings of a build.
#[derive(Debug)]
pub struct BuildSettings<'a> {
    /// Tag that the image gets.
    pub image: &'a str,
    pub source: ImageSource,
    pub build: &'a BuildArgs,
    /// Directory for a repository's objects.
    pub objects: PathBuf,
}

/// What to build, how, and which tag it gets.
#[derive(Debug)]
pub struct BuildOrder {
    pub source: Source,
    pub target: ImageReference,
    pub limits: BuildLimits,
}

/// Settings or a request that nothing can be built from.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error(transparent)]
    Version(#[from] InvalidVersion),
    #[error(transparent)]
    Image(#[from] InvalidReference),
    #[error(transparent)]
    Ref(#[from] InvalidRef),
    #[error(
        "No image was named. An administrator must set CLAWDEPLOY_OPENCLAW_REGISTRY_IMAGE or name one in the request"
    )]
    NoImage,
    #[error("This version does not know the image's source")]
    UnknownSource,
    #[error("CLAWDEPLOY_IMAGE is a digest, which a build cannot be tagged with; it must be a tag")]
    Digest,
}

impl BuildOrder {
    pub fn new(settings: BuildSettings<'_>, request: &BuildRequest) -> Result<Self, OrderError> {
        let BuildSettings { image, source, build, objects } = settings;
        let source = match request.source.unwrap_or(source) {
            ImageSource::Release => Source::Release(ReleaseSource {
                version: OpenclawVersion::parse(request.version.as_deref().unwrap_or(&build.openclaw_version))?,
                base_image: build.base_image.parse()?,
                npm_registry: build.npm_registry.clone(),
            }),
            ImageSource::Git => Source::Git(GitSource {
                repository: build.openclaw_repository.clone(),
                reference: match &request.reference {
                    Some(reference) => GitRef::parse(reference)?,
                    None => build.openclaw_ref.clone(),
                },
                allow_private: build.source_allow_private,
                dir: objects,
            }),
            ImageSource::Registry => Source::Registry(RegistrySource {
                image: match &request.reference {
                    Some(reference) => reference.parse()?,
                    None => build.openclaw_registry_image.clone().ok_or(OrderError::NoImage)?,
                },
                allow_private: build.source_allow_private,
            }),
            ImageSource::Unknown => return Err(OrderError::UnknownSource),
        };
        let target: ImageReference = image.parse()?;
        if target.digest().is_some() {
            return Err(OrderError::Digest);
        }
        let memory_bytes = build.build_memory_mib.saturating_mul(1 << 20).min(i64::MAX.unsigned_abs());
        Ok(Self { source, target, limits: BuildLimits { memory_bytes, no_cache: request.force } })
    }
}
