//! Builds whose job has ended without a word, and images that nobody needs any more.
//!
//! A build is over when its job is: where a worker died for the last time, the row still says that it is under way.
//!
//! What is ours is what the table `images` says: an image that one of our builds made, or one that a single step of a build
//! made, which is what a failed build leaves behind. The deployment's label alone proves nothing, because whatever somebody
//! commits from an instance or builds on our image inherits it. Of a tag, too, only the one that a build gave is ours: an image
//! that somebody else has named stays, with all its tags.
//!
//! Of our images these are kept: the last ones that new instances were made from (`CLAWDEPLOY_IMAGES_KEPT`), the one that the
//! tag names, and whatever an instance, a way back, a deleted instance that can still be taken back or any container uses. All
//! others are removed. While a build is under way nothing is removed: what it has made so far is not written down yet.

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
    for found in labelled.iter().filter(|image| !needed.contains(&image.id)) {
        let tags = match tags.get(&found.id) {
            Some(tags) => tags,
            None if left_over.contains(short(&found.id)) => &nothing,
            None => continue,
        };
        match env.runtime.remove_own_image(&found.id, tags).await.map_err(SweepError::from) {
            Ok(true) => {
                let message = format!("Nothing needs it. Up to {} MB were freed.", found.size_bytes / 1_000_000);
                report.repaired("image_removed", &found.id, message);
                gone.push(found.id.clone());
            }
            // A container that has just been made from it, an image that is built on it, or a name that somebody gave it.
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

/// Of our images those that are not on the engine any more: whoever removed them, they are not to be updated to.
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

/// The tags that are ours, of each of our images. Two builds may have made the same one.
fn tags(env: &Env, own: &[OwnImage]) -> HashMap<String, HashSet<String>> {
    let current = env.config.image.image.parse::<ImageReference>().ok();
    let repository = current.as_ref().map(ImageReference::repository).unwrap_or_default();
    let mut tags = HashMap::<String, HashSet<String>>::new();
    for image in own {
        tags.entry(image.image_id.clone()).or_default().extend(image.tags(repository));
    }
    tags
}

/// What is left of steps of our builds: images without a name that the table knows, by the beginning of their ids.
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

/// How the engine's builder names an image.
fn short(id: &str) -> &str {
    let id = id.trim_start_matches("sha256:");
    id.get(..12).unwrap_or(id)
}

/// What is not removed; `None`: nothing is, because a build is under way.
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
    needed.extend(env.runtime.images_in_use().await?);
    needed.extend(env.runtime.image_id(&env.config.image.image).await?);
    Ok(Some(needed))
}
