//! Verbs on images.
//!
//! The deployment's label does not prove that an image is ours: images that others build on ours, or commit from our
//! containers, inherit it. It only marks candidates.

use std::collections::{HashMap, HashSet};

use bollard::{
    errors::Error as BollardError,
    query_parameters::{
        CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
        TagImageOptionsBuilder,
    },
};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::{
    client::{CHANGE_LIMIT, Docker, READ_LIMIT},
    error::DockerError,
    inspect::none_if_missing,
    spec::LABEL_DEPLOYMENT,
};

/// An image with the label of this deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage {
    pub id: String,
    pub tags: Vec<String>,
    pub size_bytes: i64,
}

/// Progress of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// A line for people.
    pub(crate) line: Option<String>,
    /// Compressed size of all layers known so far.
    pub(crate) bytes: i64,
}

impl Docker {
    /// The images with this deployment's label, tagged or not.
    pub async fn list_labelled_images(&self) -> Result<Vec<LabelledImage>, DockerError> {
        let api = self.api().await?;
        let filters = HashMap::from([("label", vec![format!("{LABEL_DEPLOYMENT}={}", self.deployment())])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let found = self.run("list images", READ_LIMIT, api.list_images(Some(options))).await?;
        let labelled = |image: bollard::models::ImageSummary| LabelledImage {
            id: image.id,
            // The engine's placeholder for no tag.
            tags: image.repo_tags.into_iter().filter(|tag| tag != "<none>:<none>").collect(),
            size_bytes: image.size,
        };
        Ok(found.into_iter().map(labelled).collect())
    }

    /// Ids of the images of all containers on the engine, ours or not.
    pub async fn images_of_containers(&self) -> Result<HashSet<String>, DockerError> {
        let api = self.api().await?;
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let found = self.run("list containers", READ_LIMIT, api.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(|container| container.image_id).collect())
    }

    /// Tags an image. The tag moves from any other image.
    pub async fn tag_image(&self, image_id: &str, repository: &str, tag: &str) -> Result<(), DockerError> {
        let api = self.api().await?;
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        // Tagging is a rename in the engine's store.
        self.run("tag the image", READ_LIMIT, api.tag_image(image_id, Some(options))).await
    }

    /// Removes an image by id or by tag. If it has more tags, only removes this one. False: it is in use.
    pub async fn remove_image(&self, name: &str) -> Result<bool, DockerError> {
        let api = self.api().await?;
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(false).build();
        let removed = api.remove_image(name, Some(options), None);
        match none_if_missing(self.run("remove the image", CHANGE_LIMIT, removed).await) {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an image if these are its only tags. False: it is in use, or somebody else has tagged it.
    pub async fn remove_own_image(&self, id: &str, own_tags: &HashSet<String>) -> Result<bool, DockerError> {
        // Checked again: the list is some seconds old.
        let Some(found) = self.inspect_image(id).await? else { return Ok(true) };
        let tags = found.repo_tags.unwrap_or_default();
        if tags.iter().any(|tag| !own_tags.contains(tag)) {
            return Ok(false);
        }
        // With two tags it cannot be removed by id, and a forced removal would take it from under a container.
        for tag in &tags {
            if !self.remove_image(tag).await? {
                return Ok(false);
            }
        }
        self.remove_image(id).await
    }

    /// Whether an image has no tag and no name other than this one.
    pub(crate) async fn has_no_name_but(&self, name: &str) -> Result<bool, DockerError> {
        let found = self.inspect_image(name).await?;
        Ok(found.is_some_and(|image| {
            image.repo_tags.unwrap_or_default().is_empty() && image.repo_digests.unwrap_or_default().len() <= 1
        }))
    }

    /// Digest of a name in a registry now.
    pub(crate) async fn registry_digest(&self, reference: &str) -> Result<Option<String>, DockerError> {
        let api = self.api().await?;
        let found = self.run("ask the registry", CHANGE_LIMIT, api.inspect_registry_image(reference, None)).await?;
        Ok(found.descriptor.digest)
    }

    /// Pulls an image. `tag` may be a digest. Progress is sent to `watch`.
    pub(crate) async fn pull_image(
        &self,
        repository: &str,
        tag: &str,
        watch: mpsc::Sender<Pulled>,
    ) -> Result<(), DockerError> {
        let api = self.api().await?;
        let options = CreateImageOptionsBuilder::default().from_image(repository).tag(tag).build();
        let mut layers = HashMap::<String, i64>::new();
        let mut pulled = api.create_image(Some(options), None, None);
        while let Some(piece) = pulled.next().await {
            let piece = piece.map_err(|error: BollardError| self.failed("pull the image", error))?;
            let progress = piece.progress_detail.as_ref();
            if let (Some(id), Some(total)) = (&piece.id, progress.and_then(|progress| progress.total)) {
                // The same layer has another total while it is unpacked.
                layers.entry(id.clone()).or_insert(total);
            }
            // Layer progress comes many times a second. Only completed steps are worth a line.
            let told = progress.is_none_or(|progress| progress.current.is_none());
            let line = piece.status.filter(|_| told);
            let line = line.map(|status| piece.id.map_or_else(|| status.clone(), |id| format!("{id}: {status}")));
            // Dropping the receiver ends the pull.
            let _ = watch.send(Pulled { line, bytes: layers.values().sum() }).await;
        }
        Ok(())
    }

    /// The engine's image directory, as the engine sees it.
    pub(crate) async fn root_dir(&self) -> Result<Option<String>, DockerError> {
        let api = self.api().await?;
        Ok(self.run("describe itself", READ_LIMIT, api.info()).await?.docker_root_dir)
    }
}
