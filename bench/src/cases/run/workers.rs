//! The workers of a server that runs Node, found by what they are.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::measure::running;
use crate::peers::Running;

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Their pids, the oldest first.
pub(super) fn of(server: &Running) -> Vec<i32> {
    let root = server.root();
    running(root, "node").into_iter().filter(|pid| *pid != root).collect()
}

/// Ends `pid` at once.
pub(super) fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Waits until `count` of `now()` are there and none of `old` is; whether that came within `deadline`.
pub(super) async fn are_new(now: impl Fn() -> Vec<i32>, count: usize, old: &[i32], deadline: Duration) -> bool {
    let began = Instant::now();
    loop {
        let pids = now();
        if pids.len() == count && pids.iter().all(|pid| !old.contains(pid)) {
            return true;
        }
        if began.elapsed() > deadline {
            return false;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
