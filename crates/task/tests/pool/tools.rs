//! What the tests share: a deadline for everything, and waiting for a condition.

use std::future::Future;
use std::time::{Duration, Instant};

use phalanx_task::{ProcessPool, Submission, TaskError};

/// Longer than anything here takes on a loaded machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits for a result.
pub(crate) fn wait<T>(submission: Submission<T>) -> Result<T, TaskError> {
    submission.wait(LONG)
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a future on a small runtime of its own.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.expect("in time") })
}

/// A pool of so many processes, which refuses nothing because a machine is slow.
pub(crate) fn pool(processes: usize) -> ProcessPool {
    let builder = ProcessPool::builder().name("test").processes(processes);
    builder.max_wait(LONG).standing_wait(LONG).build().unwrap()
}

/// Whether a process is there, and no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
