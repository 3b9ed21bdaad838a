//! Kafka: the one that `PHALANX_TEST_KAFKA` names, or one of our own.

use phalanx_brokers::Kafka;
use phalanx_queue::Queue;
use phalanx_queue::conformance::messages::{self, Harness, Power};
use phalanx_queue::conformance::{Report, wait};

struct Cluster {
    url: String,
}

impl Harness for Cluster {
    fn connect(&self) -> Queue {
        wait(Queue::connect(&self.url)).unwrap()
    }

    fn has(&self, power: Power) -> bool {
        use Power::{CountsDeliveries, KnowsItsQueues, Mismatch, Order};
        // A partition has one consumer at a time (no sharing message by message), and nobody looks for ids.
        matches!(power, Order | CountsDeliveries | KnowsItsQueues | Mismatch)
    }
}

pub(crate) fn run(part: &str) -> Option<Report> {
    let (_broker, url) = match std::env::var("PHALANX_TEST_KAFKA") {
        Ok(url) => (None, url),
        Err(_) => {
            let broker = Kafka::start().unwrap()?;
            let url = broker.url();
            (Some(broker), url)
        }
    };
    Some(messages::run("kafka", &Cluster { url }, part))
}
