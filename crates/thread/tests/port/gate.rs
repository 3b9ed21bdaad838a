//! Running async tests with a deadline.

use std::time::Duration;

/// Nothing here takes longer, unless it hangs.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(30);

/// Runs a future in an event loop of its own; a hang is a failure.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(GIVE_UP, future).await.expect("it hangs") })
}
