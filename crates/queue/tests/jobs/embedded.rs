//! The embedded queue.

use phalanx_queue::Queue;
use phalanx_queue::conformance::jobs::{Harness, run as run_jobs};
use phalanx_queue::conformance::{Report, wait};

struct Embedded(String);

impl Harness for Embedded {
    fn connect(&self) -> Queue {
        wait(Queue::connect(&self.0)).unwrap()
    }
}

pub(crate) fn run(part: &str) -> Option<Report> {
    let folder = tempfile::tempdir().unwrap();
    let harness = Embedded(format!("embedded:{}", folder.path().display()));
    Some(run_jobs("embedded", &harness, part))
}
