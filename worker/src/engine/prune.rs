//! Removes finished rings from Redis, which apalis keeps forever. Its own `vacuum` loses jobs and ends workers.

use clawdeploy_shared::{
    doorbell::{Doorbell, DoorbellError},
    job::Queue,
};

/// Most rings that one pass removes, so that it does not block Redis.
const BATCH: usize = 500;

/// Removes finished rings with their data and returns how many.
pub async fn prune(doorbell: &Doorbell, queue: Queue) -> Result<usize, DoorbellError> {
    let config = doorbell.apalis_config(queue);
    let mut conn = doorbell.connection();
    let mut removed = 0;
    // Rings never fail, because the handler always succeeds, but a panic in apalis would leave one in the dead set.
    for set in [config.done_jobs_set(), config.dead_jobs_set()] {
        let ids: Vec<String> = redis::cmd("SRANDMEMBER").arg(&set).arg(BATCH).query_async(&mut conn).await?;
        if ids.is_empty() {
            continue;
        }
        let metas: Vec<String> = ids.iter().map(|id| format!("{}:{id}", config.job_meta_hash())).collect();
        let () = redis::pipe()
            .hdel(config.job_data_hash(), &ids)
            .ignore()
            .del(&metas)
            .ignore()
            .srem(&set, &ids)
            .ignore()
            .query_async(&mut conn)
            .await?;
        removed += ids.len();
    }
    Ok(removed)
}
