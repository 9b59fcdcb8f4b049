//! Waiting for something to become so, which is the only way in which tests wait.

use std::time::{Duration, Instant};

/// First pause between two questions. Each further one is half as long again, up to [`LAST`]: what comes soon is seen soon,
/// and a question about what takes a minute does not keep a core from the work that it asks about.
const FIRST: Duration = Duration::from_millis(30);
const LAST: Duration = Duration::from_millis(400);

/// How much longer a busy machine may take than the times in tests say. They are bounds, and reached by what fails only.
pub(crate) const PATIENCE: u32 = 3;

/// Asks until `probe` has an answer; `None` after `within` of an idle machine's time.
pub async fn poll<T>(within: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let (began, mut pause) = (Instant::now(), FIRST);
    loop {
        if let Some(found) = probe().await {
            return Some(found);
        }
        if began.elapsed() > within * PATIENCE {
            return None;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LAST);
    }
}
