//! Verbs on images. What is ours carries the deployment's label, and nothing else is removed.

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

/// An image of this deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedImage {
    pub id: String,
    pub tags: Vec<String>,
    pub size_bytes: i64,
}

/// What a registry sends of an image, while it is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pulled {
    /// A line for people.
    pub(crate) line: Option<String>,
    /// Compressed size of all layers that are known so far.
    pub(crate) bytes: i64,
}

impl Docker {
    /// The images of this deployment, also those that have no tag any more.
    pub async fn list_owned_images(&self) -> Result<Vec<OwnedImage>, DockerError> {
        let api = self.api().await?;
        let filters = HashMap::from([("label", vec![format!("{LABEL_DEPLOYMENT}={}", self.deployment())])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let found = self.run("list images", READ_LIMIT, api.list_images(Some(options))).await?;
        let owned = |image: bollard::models::ImageSummary| OwnedImage {
            id: image.id,
            // The engine's way to say that there is none.
            tags: image.repo_tags.into_iter().filter(|tag| tag != "<none>:<none>").collect(),
            size_bytes: image.size,
        };
        Ok(found.into_iter().map(owned).collect())
    }

    /// Ids of the images that any container on the engine was made from, ours or not.
    pub async fn images_of_containers(&self) -> Result<HashSet<String>, DockerError> {
        let api = self.api().await?;
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let found = self.run("list containers", READ_LIMIT, api.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(|container| container.image_id).collect())
    }

    /// Gives an image a tag, which is taken from any other.
    pub async fn tag_image(&self, image_id: &str, repository: &str, tag: &str) -> Result<(), DockerError> {
        let api = self.api().await?;
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        // Tagging is a rename in the engine's store.
        self.run("tag the image", READ_LIMIT, api.tag_image(image_id, Some(options))).await
    }

    /// Removes an image by its id or one of its tags; of an image with more tags only the tag. False: something uses it.
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

    /// Removes an image with all its tags. False: something uses it.
    pub async fn remove_owned_image(&self, image: &OwnedImage) -> Result<bool, DockerError> {
        // By its id alone it would not go with two tags, and by force it would go from under a container.
        for tag in &image.tags {
            if !self.remove_image(tag).await? {
                return Ok(false);
            }
        }
        self.remove_image(&image.id).await
    }

    /// Digest of what a registry has under a name now.
    pub(crate) async fn registry_digest(&self, reference: &str) -> Result<Option<String>, DockerError> {
        let api = self.api().await?;
        let found = self.run("ask the registry", CHANGE_LIMIT, api.inspect_registry_image(reference, None)).await?;
        Ok(found.descriptor.digest)
    }

    /// Pulls an image; `tag` may be a digest. What comes is sent to `watch`.
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
            // Progress of single layers comes many times a second; only what is done is worth a line.
            let told = progress.is_none_or(|progress| progress.current.is_none());
            let line = piece.status.filter(|_| told);
            let line = line.map(|status| piece.id.map_or_else(|| status.clone(), |id| format!("{id}: {status}")));
            // Whoever watches ends it by going away.
            let _ = watch.send(Pulled { line, bytes: layers.values().sum() }).await;
        }
        Ok(())
    }

    /// Where the engine keeps its images, as the engine sees it.
    pub(crate) async fn root_dir(&self) -> Result<Option<String>, DockerError> {
        let api = self.api().await?;
        Ok(self.run("describe itself", READ_LIMIT, api.info()).await?.docker_root_dir)
    }
}
