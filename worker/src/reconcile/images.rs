//! Builds whose job ended without ending them, and images that are no longer needed.
//!
//! A build is over when its job is: if its worker died for the last time, the row still says that it is running.
//!
//! Only images in the table `images` are ours: made by one of our builds or by a single step of one, which is what a
//! failed build leaves behind. The deployment's label proves nothing, because an image that somebody commits from an
//! instance or builds on ours inherits it. Of an image's tags, only those that a build gave are ours: an image that
//! somebody else has tagged stays, with all its tags.
//!
//! Of our images these are kept: the last ones used for new instances (`CLAWDEPLOY_IMAGES_KEPT`), the tagged one, and
//! those that an instance, a snapshot, a restorable instance or any container uses. All others are removed. During a
//! build nothing is removed, because its images are not recorded yet.

use std::collections::{HashMap, HashSet};

use clawdeploy_shared::{
    db::{
        image::{self, OwnImage},
        recoverable, snapshot,
        sweep::SweepReport,
    },
    openclaw::reference::ImageReference,
    telemetry::chain,
};

use super::{SweepError, SweepResult};
use crate::{env::Env, runtime::LabelledImage};

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let failed = image::fail_abandoned(&mut *env.db.conn().await?).await?;
    let labelled = env.runtime.list_labelled_images().await?;
    let mut report = SweepReport::of(failed + labelled.len());
    if failed > 0 {
        report.repaired(
            "build_given_up",
            "images",
            format!(
                "{failed} builds were marked as running although no \
                                                             worker was building them. They were marked as failed."
            ),
        );
    }
    let Some(needed) = needed(env).await? else { return Ok(report) };
    let own = image::own(&mut *env.db.conn().await?).await?;
    let mut gone = gone(env, &own, &labelled).await?;
    let tags = tags(env, &own);
    let left_over = left_over(env, &labelled, &tags).await?;
    let nothing = HashSet::new();
    let own_tags = |image: &LabelledImage| {
        tags.get(&image.id).or_else(|| left_over.contains(short(&image.id)).then_some(&nothing))
    };
    let unneeded = labelled.iter().filter(|image| !needed.contains(&image.id));
    let unneeded: Vec<_> = unneeded.filter_map(|image| Some((image, own_tags(image)?))).collect();
    // Listing every container of the engine is not cheap, and usually there is nothing to remove.
    let in_use = if unneeded.is_empty() { HashSet::new() } else { env.runtime.images_in_use().await? };
    for (found, tags) in unneeded.into_iter().filter(|(image, _)| !in_use.contains(&image.id)) {
        match env.runtime.remove_own_image(&found.id, tags).await.map_err(SweepError::from) {
            Ok(true) => {
                let message = format!("Nothing needs it. Up to {} MB were freed.", found.size_bytes / 1_000_000);
                report.repaired("image_removed", &found.id, message);
                gone.push(found.id.clone());
            }
            // A container was just made from it, an image is built on it, or somebody gave it a name.
            Ok(false) => {}
            Err(error) if error.is_hopeless() => return Err(error),
            Err(error) => {
                report.reported("image_stays", &found.id, format!("It cannot be removed: {}.", chain(&error)));
            }
        }
    }
    if !gone.is_empty() {
        image::note_removed(&mut *env.db.conn().await?, &gone).await?;
    }
    Ok(report)
}

/// Those of our images that are no longer on the engine. Whoever removed them, updates must not use them.
async fn gone(env: &Env, own: &[OwnImage], labelled: &[LabelledImage]) -> Result<Vec<String>, SweepError> {
    let there: HashSet<&str> = labelled.iter().map(|image| image.id.as_str()).collect();
    let mut gone = Vec::new();
    for OwnImage { image_id, .. } in own.iter().filter(|own| !there.contains(own.image_id.as_str())) {
        if env.runtime.image_id(image_id).await?.is_none() {
            gone.push(image_id.clone());
        }
    }
    Ok(gone)
}

/// Our tags of each of our images. Two builds may have made the same image.
fn tags(env: &Env, own: &[OwnImage]) -> HashMap<String, HashSet<String>> {
    let current = env.config.image.image.parse::<ImageReference>().ok();
    let repository = current.as_ref().map(ImageReference::repository).unwrap_or_default();
    let mut tags = HashMap::<String, HashSet<String>>::new();
    for image in own {
        tags.entry(image.image_id.clone()).or_default().extend(image.tags(repository));
    }
    tags
}

/// Left-over images of our builds' steps: those without a name that the table knows by the prefix of their ids.
async fn left_over(
    env: &Env,
    labelled: &[LabelledImage],
    own: &HashMap<String, HashSet<String>>,
) -> Result<HashSet<String>, SweepError> {
    let nameless = labelled.iter().filter(|image| image.tags.is_empty() && !own.contains_key(&image.id));
    let nameless: Vec<String> = nameless.map(|image| short(&image.id).to_owned()).collect();
    if nameless.is_empty() {
        return Ok(HashSet::new());
    }
    Ok(image::made_by_steps(&mut *env.db.conn().await?, &nameless).await?.into_iter().collect())
}

/// The engine's short form of an image id.
fn short(id: &str) -> &str {
    let id = id.trim_start_matches("sha256:");
    id.get(..12).unwrap_or(id)
}

/// Images that must stay, apart from those of containers. `None`: remove nothing, because a build is under way.
async fn needed(env: &Env) -> Result<Option<HashSet<String>>, SweepError> {
    let mut conn = env.db.conn().await?;
    if image::is_building(&mut conn).await? {
        return Ok(None);
    }
    let newest = image::newest_ready(&mut conn, i64::from(env.config.image.images_kept)).await?;
    let mut needed: HashSet<String> = newest.into_iter().filter_map(|build| build.image_id).collect();
    needed.extend(image::of_instances(&mut conn).await?);
    needed.extend(snapshot::images_in_use(&mut conn).await?);
    needed.extend(recoverable::images(&mut conn).await?);
    drop(conn);
    needed.extend(env.runtime.image_id(&env.config.image.image).await?);
    Ok(Some(needed))
}
