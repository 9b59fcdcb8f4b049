//! Waiting for something to become so, which is the only way in which tests wait.

use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);

/// Asks until `probe` has an answer; `None` after `within`.
pub async fn poll<T>(within: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return Some(found);
        }
        if began.elapsed() > within {
            return None;
        }
        tokio::time::sleep(POLL).await;
    }
}
