//! Removes what a test has created, even if the test panicked.

use redis::AsyncCommands as _;

use crate::{database, docker, settings};

/// Removes containers and networks by label, databases and Redis keys by name.
pub async fn remove_traces(prefix: &str) -> anyhow::Result<()> {
    docker::remove_deployments(prefix).await?;
    remove_records(prefix).await
}

/// Removes databases and Redis keys by name.
pub async fn remove_records(prefix: &str) -> anyhow::Result<()> {
    database::drop_all(&prefix.replace('-', "_")).await?;
    remove_keys(prefix).await.map(drop)
}

/// Removes all Redis keys with this prefix and returns how many there were.
pub async fn remove_keys(prefix: &str) -> anyhow::Result<usize> {
    let mut conn = redis::Client::open(settings::redis_url())?.get_multiplexed_async_connection().await?;
    let mut keys: Vec<String> = Vec::new();
    let mut found = conn.scan_match::<_, String>(format!("{prefix}*")).await?;
    while let Some(key) = found.next_item().await {
        keys.push(key?);
    }
    drop(found);
    if !keys.is_empty() {
        let () = conn.del(&keys).await?;
    }
    Ok(keys.len())
}

/// Runs `work` to its end where nothing can be awaited, such as in a drop during a panic.
pub fn block_on<F: Future<Output = ()> + Send + 'static>(work: F) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work);
    });
    let _ = thread.join();
}
