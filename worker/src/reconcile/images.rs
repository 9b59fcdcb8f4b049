//! Builds whose job has ended without a word, and images that nobody needs any more.
//!
//! A build is over when its job is: where a worker died for the last time, the row still says that it is under way.
//!
//! Of the images that carry this deployment's label these are kept: the last ones that new instances were made from
//! (`CLAWDEPLOY_IMAGES_KEPT`), the one that the tag names, and whatever an instance, a way back or any container uses. All
//! others are removed, what failed builds have left included; images without the label are never looked at. While a build is
//! under way nothing is removed: what it has made so far belongs to nobody yet.

use std::collections::HashSet;

use clawdeploy_shared::{
    db::{image, snapshot, sweep::SweepReport},
    telemetry::chain,
};

use super::{SweepError, SweepResult};
use crate::engine::Env;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let failed = image::fail_abandoned(&mut *env.db.conn().await?).await?;
    let images = env.docker.list_owned_images().await?;
    let mut report = SweepReport::of(failed + images.len());
    if failed > 0 {
        report.repaired("build_given_up", "images", format!("{failed} builds were under way and nobody was at work."));
    }
    let Some(needed) = needed(env).await? else { return Ok(report) };
    let (_, built) = image::known(&mut *env.db.conn().await?).await?;
    let there: HashSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
    // Whoever removed them, they are not to be updated to any more.
    let mut gone = Vec::new();
    for id in built.iter().filter(|id| !there.contains(id.as_str())) {
        if env.docker.image_id(id).await?.is_none() {
            gone.push(id.clone());
        }
    }
    for found in images.iter().filter(|image| !needed.contains(&image.id)) {
        match env.docker.remove_owned_image(found).await.map_err(SweepError::from) {
            Ok(true) => {
                let message = format!("Nothing needs it; {} MB were freed at most.", found.size_bytes / 1_000_000);
                report.repaired("image_removed", &found.id, message);
                gone.push(found.id.clone());
            }
            // A container that has just been made from it, or an image that is built on it: another time.
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

/// What is not removed; `None`: nothing is, because a build is under way.
async fn needed(env: &Env) -> Result<Option<HashSet<String>>, SweepError> {
    let mut conn = env.db.conn().await?;
    if image::is_building(&mut conn).await? {
        return Ok(None);
    }
    let newest = image::newest_ready(&mut conn, i64::from(env.config.image.images_kept)).await?;
    let mut needed: HashSet<String> = newest.into_iter().filter_map(|build| build.image_id).collect();
    needed.extend(image::known(&mut conn).await?.0);
    needed.extend(snapshot::images_in_use(&mut conn).await?);
    drop(conn);
    needed.extend(env.docker.images_of_containers().await?);
    needed.extend(env.docker.image_id(&env.config.image.image).await?);
    Ok(Some(needed))
}
