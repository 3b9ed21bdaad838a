//! Supervisors live long and do little: now and then they let go of what their start, or a busy moment, has mapped of the program.

use std::time::Duration;

use phalanx_process::let_go_of_image_pages;

/// From the start of a process to the first time.
pub(crate) const FIRST: Duration = Duration::from_secs(3);
/// From one time to the next. It costs about a millisecond, and some page faults later.
pub(crate) const EACH: Duration = Duration::from_secs(60);

/// Whether it is time, so many whole seconds after the start.
pub(crate) fn is_due(seconds: u64) -> bool {
    seconds % EACH.as_secs() == FIRST.as_secs()
}

/// Lets go now. What cannot be let go only costs memory.
pub(crate) fn slim() {
    let _ = let_go_of_image_pages();
}

/// For a process with a runtime: again and again.
#[cfg(feature = "control")]
pub(crate) async fn keep_slim() {
    tokio::time::sleep(FIRST).await;
    loop {
        slim();
        tokio::time::sleep(EACH).await;
    }
}
