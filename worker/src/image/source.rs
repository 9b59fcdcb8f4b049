//! The sources of images. Each can resolve what it is now, and produce it.

use std::{collections::BTreeMap, path::PathBuf};

use clawdeploy_shared::{
    db::image::ImageSource,
    openclaw::{reference::ImageReference, version::OpenclawVersion},
};
use git2::Oid;
use url::{Host, Url};

use super::{
    base,
    build::{self, EngineBuild, Network},
    context,
    dockerfile::Needs,
    error::BuildError,
    git::{self, GitSource, blocking},
    layer, node,
    output::Output,
    remote, tree,
};
use crate::runtime::docker::Docker;

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Release(ReleaseSource),
    Git(GitSource),
    Registry(RegistrySource),
}

/// A release of the npm package, built with our Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseSource {
    pub version: OpenclawVersion,
    pub base_image: ImageReference,
    /// npm registry, if not the default.
    pub npm_registry: Option<String>,
}

/// An existing image of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySource {
    pub image: ImageReference,
    pub allow_private: bool,
}

/// A resolved source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Equal for equal content: version and recipe, commit or digest.
    pub revision: String,
    /// Version of OpenClaw, if already known.
    pub version: Option<OpenclawVersion>,
    /// Part of the image's tag, for people.
    pub tag: String,
}

/// How to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildLimits {
    pub memory_bytes: u64,
    pub no_cache: bool,
}

impl Source {
    pub fn kind(&self) -> ImageSource {
        match self {
            Self::Release(_) => ImageSource::Release,
            Self::Git(_) => ImageSource::Git,
            Self::Registry(_) => ImageSource::Registry,
        }
    }

    /// What was asked for, as text.
    pub fn reference(&self) -> String {
        match self {
            Self::Release(release) => release.version.to_string(),
            Self::Git(git) => git.reference.to_string(),
            Self::Registry(registry) => registry.image.to_string(),
        }
    }

    /// What must be masked: a registry's URL may contain a password.
    pub(super) fn secrets(&self) -> Vec<String> {
        match self {
            Self::Release(release) => release.npm_registry.iter().filter(|url| url.contains('@')).cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Resolves what it is now.
    pub(super) async fn resolve(&self, docker: &Docker, output: &mut Output) -> Result<Resolved, BuildError> {
        match self {
            Self::Release(release) => release.resolve(docker, output).await,
            Self::Git(git) => {
                let commit = git.commit().await?.to_string();
                output.line(&format!("{} of {} is {commit}", git.reference, git.repository)).await;
                let tag = format!("git-{}", &commit[..12]);
                Ok(Resolved { revision: format!("{}@{commit}", git.repository), version: None, tag })
            }
            Self::Registry(registry) => registry.resolve(docker, output).await,
        }
    }

    /// Produces the image and returns its id.
    pub(super) async fn produce(
        &self,
        docker: &Docker,
        resolved: &Resolved,
        limits: &BuildLimits,
        output: &mut Output,
    ) -> Result<String, BuildError> {
        let image_id = match self {
            Self::Release(release) => release.produce(docker, limits, output).await,
            Self::Git(git) => produce_git(git, docker, resolved, limits, output).await,
            Self::Registry(registry) => registry.produce(docker, resolved, limits, output).await,
        };
        Ok(layer::add(docker, image_id?, limits, output).await)
    }
}

impl ReleaseSource {
    async fn resolve(&self, docker: &Docker, output: &mut Output) -> Result<Resolved, BuildError> {
        let base = base::ensure(docker, &self.base_image, output).await?;
        let base = base.trim_start_matches("sha256:");
        let revision = format!("{}+{}.{}", self.version, context::recipe(), &base[..base.len().min(12)]);
        Ok(Resolved { revision, version: Some(self.version.clone()), tag: self.version.to_string() })
    }

    async fn produce(&self, docker: &Docker, limits: &BuildLimits, output: &mut Output) -> Result<String, BuildError> {
        node::check(docker, self, output).await?;
        let mut args = BTreeMap::from([
            ("BASE_IMAGE".to_owned(), self.base_image.to_string()),
            ("OPENCLAW_VERSION".to_owned(), self.version.to_string()),
            ("DEPLOYMENT".to_owned(), docker.deployment().to_owned()),
        ]);
        args.extend(self.npm_registry.iter().map(|url| ("NPM_CONFIG_REGISTRY".to_owned(), url.clone())));
        let context = context::archive(&[("Dockerfile", context::DOCKERFILE)])?;
        let build = EngineBuild {
            context,
            needs: Needs::Classic,
            args,
            version: Some(&self.version),
            memory_bytes: limits.memory_bytes,
            no_cache: limits.no_cache,
            network: Network::Default,
        };
        let image_id = build::run(docker, build, output).await?;
        let found = docker.image_version(&image_id).await?;
        if found.as_deref() != Some(self.version.as_str()) {
            return Err(BuildError::WrongVersion { wanted: self.version.to_string(), found });
        }
        Ok(image_id)
    }
}

async fn produce_git(
    source: &GitSource,
    docker: &Docker,
    resolved: &Resolved,
    limits: &BuildLimits,
    output: &mut Output,
) -> Result<String, BuildError> {
    let commit = resolved.revision.rsplit('@').next().unwrap_or_default();
    let commit = Oid::from_str(commit)?;
    let fetched = source.fetch(commit, output).await?;
    let label = build::mark(docker);
    let (context, version) = blocking(move || {
        let repository = git::open(&fetched.repository)?;
        let archive = tempfile::tempfile_in(&fetched.dir)?;
        Ok((tree::pack(&repository, commit, &label, tree::CAPS, archive)?, tree::version(&repository, commit)?))
    })
    .await?;
    output.line(&format!("Packed {} files, {} KiB", context.files, context.bytes.div_ceil(1024))).await;
    if let Needs::BuildKit(_) | Needs::NewBuildKit(_) = context.needs {
        output.line(&format!("Its Dockerfile needs {}", context.needs)).await;
    }
    let build = EngineBuild {
        context: context.archive,
        needs: context.needs,
        args: BTreeMap::from([("GIT_COMMIT".to_owned(), commit.to_string())]),
        version: version.as_ref(),
        memory_bytes: limits.memory_bytes,
        no_cache: limits.no_cache,
        network: Network::Default,
    };
    build::run(docker, build, output).await
}

impl RegistrySource {
    async fn resolve(&self, docker: &Docker, output: &mut Output) -> Result<Resolved, BuildError> {
        if let Some(registry) = self.image.registry() {
            // The engine resolves the name itself later. This check refuses what was never meant to be reached.
            let url: Url = format!("https://{registry}").parse().map_err(|_| self.missing())?;
            let host: Host = url.host().ok_or_else(|| self.missing())?.to_owned();
            remote::addresses(&host, url.port().unwrap_or(443), self.allow_private).await?;
        }
        let digest = match self.image.digest() {
            Some(digest) => digest.to_owned(),
            None => match docker.registry_digest(&self.image.to_string()).await {
                Ok(digest) => digest.ok_or_else(|| self.missing())?,
                Err(error) if error.is_not_found() => return Err(self.missing()),
                Err(error) => return Err(BuildError::Registry(error)),
            },
        };
        output.line(&format!("{} is {digest}", self.image)).await;
        let short: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
        let version = OpenclawVersion::parse(self.image.tag()).ok().filter(|_| self.image.digest().is_none());
        Ok(Resolved {
            revision: format!("{}@{digest}", self.image.repository()),
            version,
            tag: format!("registry-{short}"),
        })
    }

    /// Pulls the image and puts our label on it, so that it counts as ours and is removed when it is no longer needed.
    async fn produce(
        &self,
        docker: &Docker,
        resolved: &Resolved,
        limits: &BuildLimits,
        output: &mut Output,
    ) -> Result<String, BuildError> {
        let digest = resolved.revision.rsplit('@').next().unwrap_or_default();
        let pulled = self.image.at(digest);
        let name = pulled.to_string();
        let was_there = docker.image_id(&name).await?.is_some();
        if !was_there {
            base::pull(docker, &pulled, output).await.map_err(|error| match error {
                BuildError::Docker(error) if error.is_not_found() => self.missing(),
                BuildError::Docker(error) => BuildError::Registry(error),
                other => other,
            })?;
        }
        let version = match docker.image_version(&name).await?.map(|version| OpenclawVersion::parse(&version)) {
            Some(Ok(version)) => Some(version),
            _ => resolved.version.clone(),
        };
        let build = EngineBuild {
            context: context::archive(&[("Dockerfile", &format!("FROM {name}\n{}\n", build::mark(docker)))])?,
            needs: Needs::Classic,
            args: BTreeMap::new(),
            version: version.as_ref(),
            memory_bytes: limits.memory_bytes,
            no_cache: limits.no_cache,
            network: Network::Default,
        };
        let image_id = build::run(docker, build, output).await?;
        if !was_there && docker.has_no_name_but(&name).await? {
            // Its layers belong to the new image too and would never be removed under its own name. If somebody else
            // has pulled or tagged it in the meantime, it is theirs as well.
            docker.remove_image(&name).await?;
        }
        Ok(image_id)
    }

    fn missing(&self) -> BuildError {
        let place = self.image.registry().unwrap_or("Docker Hub").to_owned();
        BuildError::NoSuchSource { what: format!("image {}", self.image), place }
    }
}

/// Directory for a source's objects, below the data directory.
pub fn source_dir(data_dir: &std::path::Path) -> PathBuf {
    data_dir.join(".openclaw-src")
}
