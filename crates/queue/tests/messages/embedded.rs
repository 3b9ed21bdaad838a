//! The embedded queue, in a folder of its own.

use phalanx_queue::Queue;
use phalanx_queue::conformance::messages::{self, Harness, Power};
use phalanx_queue::conformance::{Report, wait};

struct Embedded {
    url: String,
}

impl Harness for Embedded {
    fn connect(&self) -> Queue {
        wait(Queue::connect(&self.url)).unwrap()
    }

    fn has(&self, power: Power) -> bool {
        use Power::{CountsDeliveries, KnowsIds, KnowsItsQueues, Order, Shares};
        matches!(power, Order | CountsDeliveries | Shares | KnowsItsQueues | KnowsIds)
    }
}

pub(crate) fn run(part: &str) -> Option<Report> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("embedded:{}", folder.path().join("queue").display());
    Some(messages::run("embedded", &Embedded { url }, part))
}
