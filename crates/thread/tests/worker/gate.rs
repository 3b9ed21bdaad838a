//! Running async tests with a deadline.

use std::time::Duration;

/// Nothing here takes longer, unless it hangs.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(30);

/// Runs a future in an event loop of its own; a hang is a failure.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(GIVE_UP, future).await.expect("it hangs") })
}

/// Something has happened.
#[derive(Clone, Default)]
pub(crate) struct Flag(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Flag {
    pub(crate) fn raise(&self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Waits until it is raised, on any thread.
    pub(crate) fn wait(&self) {
        let start = std::time::Instant::now();
        while !self.is_up() {
            assert!(start.elapsed() < GIVE_UP, "it hangs");
            std::thread::yield_now();
        }
    }
}

/// Raises a flag when it is dropped.
pub(crate) struct RaiseOnDrop(pub(crate) Flag);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}
