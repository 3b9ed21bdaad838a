//! Throws away blobs that nobody uses, as long as a runner is there to do it.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;

/// Between two sweeps. Each looks at the time of every file.
const EVERY: Duration = Duration::from_secs(60 * 60);

pub(super) async fn run(shared: Arc<Shared>, unused_for: Duration) {
    let Some(blobs) = shared.blobs.clone() else { return };
    loop {
        // First of all a wait: a runner that is started again and again sweeps no more often.
        tokio::time::sleep(EVERY).await;
        match blobs.sweep(unused_for).await {
            Ok(0) => {}
            Ok(swept) => tracing::info!(runner = %shared.name, swept, "blobs that nobody used were thrown away"),
            Err(error) => {
                tracing::warn!(runner = %shared.name, %error, "blobs cannot be swept; trying again in an hour")
            }
        }
    }
}
