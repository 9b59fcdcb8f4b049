//! Builds whose job has ended without a word, and images that nobody needs any more.
//!
//! A build is over when its job is: where a worker died for the last time, the row still says that it is under way.

use clawdeploy_shared::db::{image, sweep::SweepReport};

use super::SweepResult;
use crate::engine::Env;

pub(super) async fn sweep(env: &Env) -> SweepResult {
    let failed = image::fail_abandoned(&mut *env.db.conn().await?).await?;
    let mut report = SweepReport::of(failed);
    if failed > 0 {
        report.repaired("build_given_up", "images", format!("{failed} builds were under way and nobody was at work."));
    }
    Ok(report)
}
