//! Waiting for a condition, which is the only way in which tests wait.

use std::time::{Duration, Instant};

/// First pause between two probes. Each further pause is 1.5 times as long, up to [`LAST`]: short waits end soon, and
/// long waits do not take a core away from the work that they wait for.
const FIRST: Duration = Duration::from_millis(30);
const LAST: Duration = Duration::from_millis(400);

/// How much longer a busy machine may take than the times in tests say. These times are patience: only what fails reaches them, and
/// they promise nothing of the product.
pub const PATIENCE: u32 = 3;

/// Probes until there is a result. `None`: there was none within this time of an idle machine.
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
